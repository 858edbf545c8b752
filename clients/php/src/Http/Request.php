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
}
