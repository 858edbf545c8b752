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

/** Answers one request each time it is asked to wait: the first is refused, the second is to come again. */
final class RefusingTransport implements Transport
{
    /** @var list<Request> */
    public $running = [];
    /** @var list<string> */
    public $said = [];
    /** @var int how many results there are until the handler of a signal throws */
    public $left;

    public function start(Request $request): void
    {
        $this->running[] = $request;
        $this->said[] = 'start';
    }

    public function results(float $seconds): array
    {
        if ($seconds === 0.0 || $this->running === []) {
            return [];
        }
        if ($this->left-- === 0) {
            throw new \RuntimeException('time is over');
        }
        $request = array_shift($this->running);
        $this->said[] = $request->url;
        return [[$request, [
            '/refused' => new Response(409, [], '{"code": "BATCH_CONFLICT"}'),
            '/no service' => new Response(403, [], 'a page'),
            '/busy' => new Response(503, [], ''),
        ][$request->url] ?? new Response(200, [], '{}')]];
    }

    public function abandon(): void
    {
        $this->running = [];
        $this->said[] = 'abandon';
    }
}

final class WindowTest extends TestCase
{
    /**
     * @testWith ["/refused", 9, "BATCH_CONFLICT", ["/refused", "/busy", "/last", "abandon"]]
     *           ["/no service", 9, "UNEXPECTED_ANSWER", ["/no service", "abandon"]]
     *           ["/refused", 2, "time is over", ["/refused", "/busy", "abandon"]]
     */
    public function testWhatIsOnItsWayIsAnsweredBeforeARefusalAndGivenUpBeforeOtherErrors(string $first, int $left, string $thrown, array $said): void
    {
        $transport = new RefusingTransport();
        $transport->left = $left;
        $calls = new Calls('http://127.0.0.1:1', '', Settings::of([]), static function () use ($transport): Transport {
            return $transport;
        });
        $window = new Window($calls, 'task');
        $done = 0;
        foreach ([$first, '/busy', '/last'] as $url) {
            $window->put(new Request('PUT', $url, []), static function () use (&$done): void {
                $done++;
            }, static function ($error) {
                return $error;
            });
        }
        try {
            $window->drain();
            self::fail('nothing was thrown');
        } catch (\RuntimeException $error) {
            self::assertStringContainsString($thrown, $error->getMessage());
        }
        self::assertSame(array_merge(['start', 'start', 'start'], $said), $transport->said);
        $window->drain();
        self::assertSame(0, $done);
    }

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
