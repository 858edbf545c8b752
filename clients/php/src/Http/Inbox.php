<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\SluiceException;

/** What has come of one answer. */
final class Inbox
{
    /** @var array<string, string> */
    public $headers = [];
    /** @var string */
    public $body = '';
    /** @var string why no more is taken */
    public $failure = '';
    /** @var SluiceException|null the same, where it is no fault of the answer */
    public $stopped;
    /** @var int */
    private $status = 0;
    /** @var callable|null */
    private $sink;
    /** @var int */
    private $bytesMax;
    /** @var bool */
    private $began = false;

    public function __construct(?callable $sink, int $bytesMax)
    {
        $this->sink = $sink;
        $this->bytesMax = $bytesMax;
    }

    /** @param resource|\CurlHandle $handle */
    public function takeHeader($handle, string $line): int
    {
        if (preg_match('/^HTTP\/[0-9.]+ ([0-9]{3})/', $line, $found)) {
            $this->status = (int) $found[1]; // of each answer on the way: redirects, 100 Continue
            $this->headers = [];
        } elseif (strpos($line, ':') !== false) {
            [$name, $value] = explode(':', $line, 2);
            $this->headers[strtolower(trim($name))] = trim($value);
        }
        return strlen($line);
    }

    /** @param resource|\CurlHandle $handle */
    public function takeBody($handle, string $bytes): int
    {
        try {
            if ($this->sink !== null && $this->status >= 200 && $this->status < 300) {
                ($this->sink)($bytes, !$this->began && $this->status !== 206);
                $this->began = true;
            } elseif (strlen($this->body) + strlen($bytes) > $this->bytesMax) {
                $this->failure = 'the answer is longer than any of a Sluice service';
            } else {
                $this->body .= $bytes;
            }
        } catch (SluiceException $error) { // thrown through curl it would be lost
            $this->stopped = $error;
            $this->failure = $error->getMessage();
        }
        return $this->failure === '' ? strlen($bytes) : 0;
    }
}
