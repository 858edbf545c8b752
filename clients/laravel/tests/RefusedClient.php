<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Sluice\Client;
use Sluice\Http\Request;
use Sluice\Http\Response;
use Sluice\Http\Transport;

/** A client whose calls are answered by these refusals, one after the other, as by a service that is full. */
final class RefusedClient extends Client
{
    /** @var list<Response> */
    private $answers = [];

    /** @param list<array{int, string, int}> $refusals status, code and seconds to wait before the next try */
    public function __construct(array $refusals)
    {
        foreach ($refusals as [$status, $code, $wait]) {
            $body = ['code' => $code, 'detail' => 'refused', 'retryable' => $status !== 400];
            $this->answers[] = new Response($status, $wait > 0 ? ['retry-after' => (string) $wait] : [], (string) json_encode($body));
        }
        parent::__construct('http://sluice.invalid', '', ['tries' => 1]);
    }

    protected function transports(): callable
    {
        $transport = new class ($this->answers) implements Transport {
            /** @var list<Response> */
            private $answers;
            /** @var list<array{Request, Response}> */
            private $results = [];

            public function __construct(array $answers)
            {
                $this->answers = $answers;
            }

            public function start(Request $request): void
            {
                $this->results[] = [$request, array_shift($this->answers)];
            }

            public function results(float $seconds): array
            {
                [$results, $this->results] = [$this->results, []];
                return $results;
            }

            public function abandon(): void
            {
                $this->results = [];
            }
        };
        return static function () use ($transport): Transport {
            return $transport;
        };
    }
}
