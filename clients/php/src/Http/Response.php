<?php

declare(strict_types=1);

namespace Sluice\Http;

/** An answer: whole, or the reason why there is none. */
final class Response
{
    /** @var int 0 without an answer */
    public $status;
    /** @var array<string, string> by name in small letters */
    public $headers;
    /** @var string */
    public $body;
    /** @var string why there is no answer; empty where there is one */
    public $failure;
    /** @var bool whether the same request can get no answer either, such as one to a server with a foreign certificate */
    public $isFinal;

    /** @var \Sluice\SluiceException|null what stopped us from taking the answer */
    public $stopped;

    /** @param array<string, string> $headers */
    public function __construct(int $status, array $headers, string $body, string $failure = '', bool $isFinal = false)
    {
        $this->status = $status;
        $this->headers = $headers;
        $this->body = $body;
        $this->failure = $failure;
        $this->isFinal = $isFinal;
    }
}
