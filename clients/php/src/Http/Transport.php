<?php

declare(strict_types=1);

namespace Sluice\Http;

/** Requests that run beside each other. A request that was started has one result. */
interface Transport
{
    public function start(Request $request): void;

    /**
     * The results that are there, after waiting up to `$seconds` for the first.
     *
     * @return list<array{Request, Response}>
     */
    public function results(float $seconds): array;

    /** Forgets what is under way. */
    public function abandon(): void;
}
