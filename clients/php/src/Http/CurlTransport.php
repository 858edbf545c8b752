<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\Settings;

/** Requests by ext-curl, over connections that are kept. */
final class CurlTransport implements Transport
{
    private const ANSWER_BYTES_MAX = 67108864;
    private const REDIRECTS_MAX = 5;
    /** Results of curl that no other try changes: no such protocol, no address, certificates that are not trusted. */
    private const FINAL = [1, 3, 51, 58, 60, 77, 83];

    /** @var Settings */
    private $settings;
    /** @var resource|\CurlMultiHandle */
    private $multi;
    /** @var array<string, array{Request, resource|\CurlHandle, Inbox}> */
    private $running = [];
    /** @var list<resource|\CurlHandle> */
    private $idle = [];
    /** @var int */
    private $started = 0;

    public function __construct(Settings $settings)
    {
        $this->settings = $settings;
        $this->multi = curl_multi_init();
    }

    public function __destruct()
    {
        $this->abandon();
        curl_multi_close($this->multi);
    }

    public function start(Request $request): void
    {
        $handle = array_pop($this->idle) ?? curl_init();
        $id = (string) ++$this->started;
        $inbox = new Inbox($request->sink, self::ANSWER_BYTES_MAX);
        curl_reset($handle);
        curl_setopt_array($handle, $this->settings->curl + $this->options($request, $inbox) + [CURLOPT_PRIVATE => $id]);
        $this->running[$id] = [$request, $handle, $inbox];
        curl_multi_add_handle($this->multi, $handle);
        curl_multi_exec($this->multi, $active);
    }

    public function results(float $seconds): array
    {
        $until = hrtime(true) / 1e9 + $seconds;
        do {
            curl_multi_exec($this->multi, $active);
            $results = $this->ended();
            $left = $until - hrtime(true) / 1e9;
            if ($results !== [] || $this->running === [] || $left <= 0) {
                return $results;
            }
            if (curl_multi_select($this->multi, min($left, 1.0)) === -1) {
                usleep(1000); // curl has no socket to wait for yet
            }
        } while (true);
    }

    public function abandon(): void
    {
        foreach ($this->running as [, $handle]) {
            curl_multi_remove_handle($this->multi, $handle);
        }
        $this->running = [];
    }

    /** @return list<array{Request, Response}> */
    private function ended(): array
    {
        $results = [];
        while ($one = curl_multi_info_read($this->multi)) {
            $handle = $one['handle'];
            $id = curl_getinfo($handle, CURLINFO_PRIVATE);
            [$request, , $inbox] = $this->running[$id];
            unset($this->running[$id]);
            $results[] = [$request, $this->responseOf($handle, $one['result'], $inbox)];
            curl_multi_remove_handle($this->multi, $handle);
            $this->idle[] = $handle;
        }
        return $results;
    }

    /** @param resource|\CurlHandle $handle */
    private function responseOf($handle, int $result, Inbox $inbox): Response
    {
        if ($result === CURLE_OK) {
            return new Response((int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE), $inbox->headers, $inbox->body);
        }
        $failure = $inbox->failure !== '' ? $inbox->failure : (curl_error($handle) ?: curl_strerror($result));
        $response = new Response(0, [], '', $failure, $inbox->failure !== '' || in_array($result, self::FINAL, true));
        $response->stopped = $inbox->stopped;
        return $response;
    }

    /** @return array<int, mixed> */
    private function options(Request $request, Inbox $inbox): array
    {
        $headers = ['Expect:']; // a server that ignores it would cost a second each time
        foreach ($request->headers as $name => $value) {
            $headers[] = "$name: $value";
        }
        $options = [
            CURLOPT_URL => $request->url,
            CURLOPT_CUSTOMREQUEST => $request->method,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_CONNECTTIMEOUT_MS => (int) ($this->settings->connectTimeout * 1000),
            CURLOPT_NOSIGNAL => true,
            CURLOPT_HEADERFUNCTION => [$inbox, 'takeHeader'],
            CURLOPT_WRITEFUNCTION => [$inbox, 'takeBody'],
        ];
        if ($request->body !== null) {
            $options[CURLOPT_POSTFIELDS] = $request->body;
        }
        if ($request->sink === null) {
            return $options + [CURLOPT_TIMEOUT_MS => (int) ($this->settings->answerTimeout * 1000)];
        }
        // A download may take hours, as long as bytes come. It carries no credential, so it may be led to a store.
        $secure = strncasecmp($request->url, 'https:', 6) === 0;
        return $options + [
            CURLOPT_LOW_SPEED_LIMIT => 1,
            CURLOPT_LOW_SPEED_TIME => (int) ceil($this->settings->answerTimeout),
            CURLOPT_FOLLOWLOCATION => true,
            CURLOPT_MAXREDIRS => self::REDIRECTS_MAX,
            CURLOPT_REDIR_PROTOCOLS => $secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS,
        ];
    }
}
