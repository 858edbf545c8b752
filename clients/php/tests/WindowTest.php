<?php

declare(strict_types=1);

namespace Sluice\Tests;

use PHPUnit\Framework\TestCase;
use Sluice\Http\Calls;
use Sluice\Http\Request;
use Sluice\Http\Response;
use Sluice\Http\Transport;
use Sluice\Http\Window;
use Sluice\Settings;

/** Answers one request, the first, each time it is asked to wait. */
final class SlowTransport implements Transport
{
    /** @var list<Request> */
    public $running = [];
    /** @var int */
    public $most = 0;

    public function start(Request $request): void
    {
        $this->running[] = $request;
        $this->most = max($this->most, count($this->running));
    }

    public function results(float $seconds): array
    {
        return $seconds > 0 && $this->running !== [] ? [[array_shift($this->running), new Response(200, [], '{}')]] : [];
    }

    public function abandon(): void
    {
    }
}

final class WindowTest extends TestCase
{
    public function testExactlySoManyAreOnTheirWayAsTheSettingSays(): void
    {
        foreach ([1, 2, 4] as $inFlight) {
            $transport = new SlowTransport();
            $calls = new Calls('http://127.0.0.1:1', '', Settings::of(['in_flight' => $inFlight]), static function () use ($transport): Transport {
                return $transport;
            });
            $window = new Window($calls, 'task');
            $answered = 0;
            for ($number = 1; $number <= 9; $number++) {
                $window->put(new Request('PUT', "http://127.0.0.1:1/$number", []), static function () use (&$answered): void {
                    $answered++;
                }, static function ($error) {
                    return $error;
                });
            }
            $window->drain();
            self::assertSame([$inFlight, 9], [$transport->most, $answered]);
        }
    }
}
