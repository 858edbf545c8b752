<?php

declare(strict_types=1);

namespace Export;

use Google\Protobuf\Internal\Message;

/**
 * One call of gRPC over ext-curl: messages are written and read in any order, as in the gRPC extension.
 *
 * `read()` answers `[$message, $status]`, which is what callers of the earlier service expect; the extension's own
 * `read()` answers the message alone, and its `getStatus()` the status. A call that fails throws nothing: its status
 * says why, and so does the message that is read then, where its class has `error_message`.
 */
final class Call
{
    private const INTERNAL = 13;
    private const UNAVAILABLE = 14;
    private const UNKNOWN = 2;
    private const DEADLINE_EXCEEDED = 4;
    private const PREFIX_BYTES = 5;
    private const TURN_SECONDS = 0.05;

    /** @var class-string<Message> */
    private $answer;
    /** @var resource|\CurlHandle */
    private $handle;
    /** @var resource|\CurlMultiHandle */
    private $multi;
    /** @var string what curl has not taken yet, */
    private $outgoing = '';
    /** @var int but for so many bytes at its beginning */
    private $given = 0;
    /** @var bool */
    private $isWritten = false;
    /** @var bool */
    private $isPaused = false;
    /** @var string */
    private $incoming = '';
    /** @var array<string, string> headers, then trailers, by name in small letters */
    private $headers = [];
    /** @var int of HTTP */
    private $httpStatus = 0;
    /** @var bool */
    private $isDone = false;
    /** @var int of curl */
    private $failure = 0;

    /**
     * @param class-string<Message> $answer
     * @param array<string, string|list<string>> $metadata
     * @param \Grpc\ChannelCredentials|null $credentials
     * @param int $timeout in microseconds; 0 for none
     * @param Message|null $only the one message of a call that takes one: sent with its end, or the service may answer
     *     before the end is out, and curl lose the answer
     */
    public function __construct(string $url, string $answer, array $metadata, $credentials, int $timeout, ?Message $only = null)
    {
        $this->answer = $answer;
        $this->handle = curl_init($url);
        $sent = ['content-type: application/grpc+proto', 'te: trailers', 'expect:', 'user-agent: sluice-export-grpc php/' . PHP_VERSION];
        foreach ($metadata as $name => $values) {
            foreach ((array) $values as $value) {
                if (preg_match('/[\r\n]/', $name . $value)) {
                    throw new \InvalidArgumentException('Metadata has no line breaks.');
                }
                $sent[] = strtolower($name) . ': ' . $value;
            }
        }
        if ($timeout > 0) {
            $sent[] = 'grpc-timeout: ' . self::timeoutText($timeout);
        }
        $this->isWritten = $only !== null;
        curl_setopt_array($this->handle, ($only !== null ? [CURLOPT_POSTFIELDS => self::framed($only)] : [
            CURLOPT_UPLOAD => true,
            CURLOPT_READFUNCTION => function ($handle, $file, int $bytes) {
                return $this->give($bytes);
            },
        ]) + [
            CURLOPT_HTTP_VERSION => $credentials === null ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_CUSTOMREQUEST => 'POST',
            CURLOPT_HTTPHEADER => $sent,
            CURLOPT_CONNECTTIMEOUT => 10,
            CURLOPT_TIMEOUT_MS => intdiv($timeout, 1000),
            CURLOPT_TCP_KEEPALIVE => 1, // a peer that is gone without a word is noticed
            CURLOPT_NOSIGNAL => true,
            CURLOPT_WRITEFUNCTION => function ($handle, string $bytes): int {
                $this->incoming .= $bytes;
                return strlen($bytes);
            },
            CURLOPT_HEADERFUNCTION => function ($handle, string $line): int {
                $this->takeHeader($line);
                return strlen($line);
            },
        ] + ($credentials !== null && $credentials->pem !== null ? [CURLOPT_CAINFO => self::fileOf($credentials->pem)] : []));
        $this->multi = curl_multi_init();
        curl_multi_add_handle($this->multi, $this->handle);
        $this->turn(0.0);
    }

    public function __destruct()
    {
        curl_multi_remove_handle($this->multi, $this->handle);
        curl_multi_close($this->multi);
    }

    /** Sends a message; returns once the connection has taken it. Does nothing once the call has ended. */
    public function write(Message $message): void
    {
        $this->outgoing .= self::framed($message);
        while ($this->outgoing !== '' && !$this->isDone) {
            $this->turn(self::TURN_SECONDS);
        }
    }

    /** Says that no message follows. */
    public function writesDone(): void
    {
        $this->isWritten = true;
        $this->turn(0.0);
    }

    /**
     * The next message; with the status once the call has ended, and after {@see writesDone()}, whose answer ends it.
     *
     * @return array{0: Message|null, 1: object|null}
     */
    public function read(): array
    {
        $message = $this->next();
        $status = $message === null || $this->isWritten ? $this->getStatus() : null;
        return [$message ?? $this->errorOf($status), $status];
    }

    /** @return array{0: Message|null, 1: object} of a call of one message; one whose answer is missing has failed */
    public function wait(): array
    {
        $message = $this->next();
        $status = $this->getStatus();
        if ($message === null && $status->code === 0) {
            $status->code = self::INTERNAL;
            $status->details = 'the answer has no message';
        }
        return [$message ?? $this->errorOf($status), $status];
    }

    /** Waits until the call has ended: `code`, `details`, `metadata` (trailers, by name). */
    public function getStatus(): object
    {
        while (!$this->isDone) {
            $this->turn(self::TURN_SECONDS);
        }
        $isWhole = $this->failure === 0 || ($this->headers['grpc-status'] ?? '0') !== '0';
        if (isset($this->headers['grpc-status']) && $isWhole) {
            $code = (int) $this->headers['grpc-status'];
            $details = rawurldecode($this->headers['grpc-message'] ?? '');
        } elseif ($this->failure !== 0) {
            $code = $this->failure === CURLE_OPERATION_TIMEDOUT ? self::DEADLINE_EXCEEDED : self::UNAVAILABLE;
            $details = curl_error($this->handle) ?: (string) curl_strerror($this->failure);
        } else {
            $code = in_array($this->httpStatus, [429, 502, 503, 504], true) ? self::UNAVAILABLE : self::UNKNOWN;
            $details = "the server answered {$this->httpStatus}, not as a service of gRPC does";
        }
        $metadata = [];
        foreach ($this->headers as $name => $value) {
            $metadata[$name] = [$value];
        }
        return (object) ['code' => $code, 'details' => $details, 'metadata' => $metadata];
    }

    /** Ends the call; the service keeps what it acknowledged. */
    public function cancel(): void
    {
        curl_multi_remove_handle($this->multi, $this->handle);
        $this->headers += ['grpc-status' => '1', 'grpc-message' => 'cancelled'];
        $this->isDone = true;
    }

    private function next(): ?Message
    {
        while (true) {
            if (strlen($this->incoming) >= self::PREFIX_BYTES) {
                $size = unpack('N', substr($this->incoming, 1, 4))[1];
                if (strlen($this->incoming) >= self::PREFIX_BYTES + $size) {
                    $message = new $this->answer();
                    $message->mergeFromString(substr($this->incoming, self::PREFIX_BYTES, $size));
                    $this->incoming = (string) substr($this->incoming, self::PREFIX_BYTES + $size);
                    return $message;
                }
            }
            if ($this->isDone) {
                return null;
            }
            $this->turn(self::TURN_SECONDS);
        }
    }

    /** What a caller that looks only at the message sees of a failure. */
    private function errorOf(?object $status): ?Message
    {
        if ($status === null || $status->code === 0 || !method_exists($this->answer, 'setErrorMessage')) {
            return null;
        }
        $message = new $this->answer();
        $message->setErrorMessage($status->details);
        $message->setErrorCode($this->headers['error-code'] ?? '');
        $message->setStatus(TaskStatus::TASK_STATUS_FAILED);
        return $message;
    }

    /** @return string|int bytes for curl, at most so many; or that there are none yet */
    private function give(int $bytes)
    {
        if ($this->outgoing === '') {
            $this->isPaused = !$this->isWritten;
            return $this->isWritten ? '' : CURL_READFUNC_PAUSE;
        }
        $block = substr($this->outgoing, $this->given, $bytes);
        $this->given += strlen($block);
        if ($this->given === strlen($this->outgoing)) {
            $this->outgoing = '';
            $this->given = 0;
        }
        return $block;
    }

    private function takeHeader(string $line): void
    {
        if (preg_match('/^HTTP\/[0-9.]+ ([0-9]{3})/', $line, $found)) {
            $this->httpStatus = (int) $found[1];
        } elseif (($colon = strpos($line, ':', 1)) !== false) {
            $this->headers[strtolower(substr($line, 0, $colon))] = trim(substr($line, $colon + 1));
        }
    }

    private function turn(float $seconds): void
    {
        if ($this->isDone) {
            return;
        }
        if ($this->isPaused && ($this->outgoing !== '' || $this->isWritten)) {
            $this->isPaused = false;
            curl_pause($this->handle, CURLPAUSE_CONT);
        }
        curl_multi_exec($this->multi, $active);
        while ($ended = curl_multi_info_read($this->multi)) {
            $this->isDone = true;
            $this->failure = $ended['result'];
        }
        // An answer of trailers alone ends the call, while curl still waits for the rest of what we send.
        $this->isDone = $this->isDone || isset($this->headers['grpc-status']);
        if (!$this->isDone && $seconds > 0 && curl_multi_select($this->multi, $seconds) === -1) {
            usleep(1000);
        }
    }

    /** A time-out in the smallest unit that has room for it: at most eight digits, rounded up. */
    private static function timeoutText(int $microseconds): string
    {
        foreach (['u' => 1, 'm' => 1000, 'S' => 1000000] as $unit => $size) {
            $count = intdiv($microseconds + $size - 1, $size);
            if ($count <= 99999999) {
                return $count . $unit;
            }
        }
        return '99999999H';
    }

    private static function framed(Message $message): string
    {
        $bytes = $message->serializeToString();
        return "\0" . pack('N', strlen($bytes)) . $bytes;
    }

    private static function fileOf(string $pem): string
    {
        $file = tempnam(sys_get_temp_dir(), 'sluice');
        file_put_contents($file, $pem);
        register_shutdown_function(static function () use ($file): void {
            unlink($file);
        });
        return $file;
    }
}
