<?php

declare(strict_types=1);

namespace Sluice\Http;

/** A request that may be made again and again. */
final class Request
{
    /** @var string */
    public $method;
    /** @var string */
    public $url;
    /** @var array<string, string> */
    public $headers;
    /** @var string|null */
    public $body;
    /** @var callable(string, bool): void|null takes the blocks of a good answer, and whether they begin the file */
    public $sink;

    /** @param array<string, string> $headers */
    public function __construct(string $method, string $url, array $headers, ?string $body = null, ?callable $sink = null)
    {
        $this->method = $method;
        $this->url = $url;
        $this->headers = $headers;
        $this->body = $body;
        $this->sink = $sink;
    }

    /** @return array<string, mixed> without the API key and the rows, which have no place in a dump or a trace */
    public function __debugInfo(): array
    {
        return ['method' => $this->method, 'url' => $this->url, 'bytes' => strlen((string) $this->body)];
    }
}
