<?php

declare(strict_types=1);

namespace Sluice\Http;

use Sluice\SluiceException;

/** Some requests on their way at a time, each repeated by the rule; those that wait for their next try count too. */
final class Window
{
    /** @var Calls */
    private $calls;
    /** @var Transport */
    private $transport;
    /** @var string */
    private $taskId;
    /** @var array<int, array{Request, Retry, callable, callable}> */
    private $sent = [];
    /** @var array<int, float> when those that failed for a moment are sent again */
    private $due = [];
    /** @var int those that were started and have no result yet */
    private $running = 0;
    /** @var int */
    public $retries = 0;

    public function __construct(Calls $calls, string $taskId)
    {
        $this->calls = $calls;
        $this->transport = $calls->newTransport();
        $this->taskId = $taskId;
    }

    /**
     * Sends a request, once fewer than `in_flight` are on their way.
     *
     * @param callable(array<string, mixed>): void $done takes the answer
     * @param callable(SluiceException): SluiceException $placed says where in the table an error is
     * @throws SluiceException of this request, or of one before it
     */
    public function put(Request $request, callable $done, callable $placed): void
    {
        $this->guard(function () use ($request, $done, $placed): void {
            while (count($this->sent) >= $this->calls->settings->inFlight) {
                $this->turn(1.0);
            }
            $this->sent[spl_object_id($request)] = [$request, new Retry($this->calls->settings), $done, $placed];
            $this->start($request);
            $this->turn(0.0);
        });
    }

    /** Waits until nothing is on its way. */
    public function drain(): void
    {
        $this->guard(function (): void {
            while ($this->sent !== []) {
                $this->turn(1.0);
            }
        });
    }

    /**
     * Gives up all that is on its way when anything is thrown, by the handler of a signal too. Where the service refuses
     * one, the others are answered before: {@see \Sluice\Export::restartIfStopped()} would take them for another run's.
     */
    private function guard(callable $work): void
    {
        try {
            $work();
        } catch (\Throwable $error) {
            try {
                while (Problem::isRefusal($error) && $this->running > 0) {
                    $this->results(1.0);
                }
            } finally {
                $this->transport->abandon();
                $this->sent = $this->due = [];
                $this->running = 0;
            }
            throw $error;
        }
    }

    private function start(Request $request): void
    {
        $this->running++;
        $this->transport->start($request);
    }

    /** @return list<array{Request, Response}> */
    private function results(float $seconds): array
    {
        $results = $this->transport->results($seconds);
        $this->running -= count($results);
        return $results;
    }

    private function turn(float $seconds): void
    {
        $now = Retry::now();
        foreach ($this->due as $id => $time) {
            if ($time <= $now) {
                unset($this->due[$id]);
                $this->start($this->sent[$id][0]);
            }
        }
        if ($this->due !== []) {
            $seconds = min($seconds, max(0.0, min($this->due) - $now));
        }
        if ($this->running === 0) {
            Calls::sleep($seconds);
            return;
        }
        foreach ($this->results($seconds) as [$request, $response]) {
            $this->settle($request, $response);
        }
    }

    private function settle(Request $request, Response $response): void
    {
        $id = spl_object_id($request);
        [, $retry, $done, $placed] = $this->sent[$id];
        try {
            $answer = $this->calls->answerOf($response, $this->taskId);
        } catch (SluiceException $error) {
            $pause = $this->calls->pauseAfter($error, $retry);
            if ($pause === null) {
                throw $placed($error);
            }
            $this->retries++;
            $this->due[$id] = Retry::now() + $pause;
            return;
        }
        unset($this->sent[$id]);
        $done($answer);
    }
}
