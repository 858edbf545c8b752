<?php

declare(strict_types=1);

namespace Sluice\Testing;

use Sluice\Http\Request;
use Sluice\Http\Transport;

/** Leads requests to a {@see FakeService}, which answers at once. */
final class FakeTransport implements Transport
{
    /** @var FakeService */
    private $service;
    /** @var list<array{Request, \Sluice\Http\Response}> */
    private $results = [];

    public function __construct(FakeService $service)
    {
        $this->service = $service;
    }

    public function start(Request $request): void
    {
        $this->results[] = [$request, $this->service->answer($request)];
    }

    public function results(float $seconds): array
    {
        $results = $this->results;
        $this->results = [];
        return $results;
    }

    public function abandon(): void
    {
        $this->results = [];
    }
}
