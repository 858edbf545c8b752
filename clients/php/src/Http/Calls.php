<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\Json;
use Sluice\Settings;
use Sluice\SluiceException;
use Sluice\TransportException;
use Sluice\UsageException;

/** Calls of the HTTP API, repeated while that can help; every call made here may be repeated. */
final class Calls
{
    public const VERSION = '1.0.0';

    /** @var string */
    public $server;
    /** @var Settings */
    public $settings;
    /** @var string */
    private $key;
    /** @var callable(Settings): Transport */
    private $transports;
    /** @var Transport */
    private $transport;
    /** @var bool */
    private $wasReached = false;
    /** @var bool */
    private $isLocal;

    /** @param callable(Settings): Transport $transports makes connections */
    public function __construct(
        string $server,
        #[\SensitiveParameter]
        string $key,
        Settings $settings,
        callable $transports
    ) {
        $parts = parse_url($server);
        if (!is_array($parts) || !in_array(strtolower($parts['scheme'] ?? ''), ['http', 'https'], true) || ($parts['host'] ?? '') === '') {
            throw new UsageException('The address of the service is one such as https://exports.example.com.');
        }
        if (isset($parts['user']) || isset($parts['query']) || isset($parts['fragment'])) {
            throw new UsageException('The address of the service has no user, no query and no fragment; the API key is given by itself.');
        }
        if (preg_match('/[^\x21-\x7e]/', $server)) {
            throw new UsageException('The address of the service is printable ASCII text, without blanks.');
        }
        if (preg_match('/[^\x21-\x7e]/', $key)) {
            throw new UsageException('The API key has a character that no key has: a line break at its end, or "Bearer" before it?');
        }
        $this->server = rtrim($server, '/');
        $this->key = $key;
        $this->settings = $settings;
        $this->transports = $transports;
        $this->transport = $this->newTransport();
        $this->isLocal = in_array(strtolower($parts['host']), ['localhost', '127.0.0.1', '[::1]'], true);
    }

    /** @return array<string, mixed> without the key, which has no place in a dump */
    public function __debugInfo(): array
    {
        return ['server' => $this->server, 'settings' => $this->settings];
    }

    /** Connections beside those of single calls, which may be abandoned without disturbing one. */
    public function newTransport(): Transport
    {
        return ($this->transports)($this->settings);
    }

    /**
     * Calls and decodes the answer.
     *
     * @param array<string, mixed>|null $body sent as JSON; an empty one as an empty object
     * @param array<string, string> $headers
     * @return array<string, mixed>
     * @throws SluiceException
     */
    public function json(string $method, string $path, ?array $body = null, array $headers = [], string $taskId = ''): array
    {
        $content = null;
        if ($body !== null) {
            $content = Json::encode($body ?: new \stdClass(), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
            if ($content === false) {
                throw new UsageException('A name, an option or a key cannot be sent: ' . json_last_error_msg() . '.');
            }
        }
        $request = $this->request($method, $path, $content, $headers);
        return $this->repeat(function () use ($request, $taskId): array {
            return $this->answerOf($this->exchange($request), $taskId);
        });
    }

    /** @param array<string, string> $headers */
    public function request(string $method, string $path, ?string $json, array $headers = []): Request
    {
        $headers += ['Accept' => 'application/json', 'User-Agent' => 'sluice-php/' . self::VERSION . ' php/' . PHP_VERSION];
        if ($this->key !== '') {
            $headers['Authorization'] = "Bearer {$this->key}";
        }
        if ($json === null) {
            return new Request($method, $this->server . $path, $headers, in_array($method, ['POST', 'PUT'], true) ? '' : null);
        }
        $headers['Content-Type'] = 'application/json';
        if (strlen($json) >= 1024 && $method === 'PUT' && $this->packs()) {
            $json = gzencode($json, 1);
            $headers['Content-Encoding'] = 'gzip';
        }
        if ($method === 'PUT') {
            $headers['X-Content-SHA256'] = self::sha256($json);
        }
        return new Request($method, $this->server . $path, $headers, $json);
    }

    /** One try. */
    public function exchange(Request $request): Response
    {
        try {
            $this->transport->start($request);
            while (true) {
                foreach ($this->transport->results(1.0) as [$one, $response]) {
                    if ($one === $request) {
                        return $response;
                    }
                }
            }
        } catch (\Throwable $error) { // a handler of a signal may throw anywhere; the late answer is no other call's
            $this->transport->abandon();
            throw $error;
        }
    }

    /**
     * @return array<string, mixed>
     * @throws SluiceException
     */
    public function answerOf(Response $response, string $taskId): array
    {
        $this->wasReached = $this->wasReached || $response->status !== 0;
        $problem = Problem::of($response, $this->server, $taskId);
        if ($problem !== null) {
            throw $problem;
        }
        $answer = $response->body === '' ? [] : json_decode($response->body, true);
        if (!is_array($answer)) {
            throw new TransportException("{$this->server} answers, but not as a Sluice service does", 'UNEXPECTED_ANSWER', ['task_id' => $taskId]);
        }
        return $answer;
    }

    /**
     * Does something until it does not fail for a moment, or the tries are over.
     *
     * @template T
     * @param callable(): T $action
     * @param callable(): int|null $reached tries begin anew where it gives another value than before
     * @return T
     * @throws SluiceException
     */
    public function repeat(callable $action, ?callable $reached = null)
    {
        $retry = new Retry($this->settings);
        $before = $reached === null ? 0 : $reached();
        while (true) {
            try {
                return $action();
            } catch (SluiceException $error) {
                $now = $reached === null ? 0 : $reached();
                if ($now !== $before) {
                    $retry->moved();
                    $before = $now;
                }
                $pause = $this->pauseAfter($error, $retry);
                if ($pause === null) {
                    throw $error;
                }
                self::sleep($pause);
            }
        }
    }

    /** Seconds until what failed is tried again; null: never. Each is said to the logger. */
    public function pauseAfter(SluiceException $error, Retry $retry): ?float
    {
        $pause = Problem::isTransient($error) ? $retry->pause($error->retryAfter(), $this->wasReached) : null;
        if ($pause !== null && $this->settings->logger !== null) {
            $this->settings->logger->warning(sprintf('Sluice: again in %.1f s: %s', $pause, $error->getMessage()));
        }
        return $pause;
    }

    public static function sleep(float $seconds): void
    {
        usleep((int) ($seconds * 1e6));
    }

    /** OpenSSL's is several times as fast on most processors. */
    private static function sha256(string $bytes): string
    {
        return (function_exists('openssl_digest') ? openssl_digest($bytes, 'sha256') : false) ?: hash('sha256', $bytes);
    }

    private function packs(): bool
    {
        return function_exists('gzencode') && ($this->settings->gzip ?? !$this->isLocal);
    }
}
