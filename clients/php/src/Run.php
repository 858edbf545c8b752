<?php

declare(strict_types=1);

namespace Sluice;

use Sluice\Http\Calls;

/**
 * What this process does with one export: opens it under its key, sends its rows, closes it, begins it anew.
 *
 * @internal behind {@see Export}
 */
final class Run
{
    private const POLL_SECONDS = 20;
    /** Seconds between two looks at what another run may be sending. */
    private const LOOK_SECONDS = 0.5;
    /** What a cancel answers for an export that is over without a file. */
    private const OVER = ['EXPIRED', 'TASK_CLOSED', 'TASK_DELETED'];

    /** @var Calls */
    public $calls;
    /** @var Definition */
    public $definition;
    /** @var Key */
    public $key;
    /** @var callable(Progress): mixed|null */
    public $onProgress;
    /** @var Sender|null of the export that is open; made with its first rows */
    private $sender;
    /** @var string */
    private $id = '';
    /** @var Status|null as last answered */
    private $status;
    /** @var bool whether it was found by its id, so that only the service knows what it is */
    private $isFound;
    /** @var bool */
    private $isClosedHere = false;
    /** @var string|null */
    private $watchUrl;
    /** @var ReadOnce */
    private $read;
    /** @var Progress */
    private $progress;

    /** @param string $taskId of one that was found by its id; or the empty text */
    public function __construct(Calls $calls, Definition $definition, string $taskId = '')
    {
        $this->calls = $calls;
        $this->definition = $definition;
        $this->key = new Key();
        $this->id = $taskId;
        $this->isFound = $taskId !== '';
        $this->read = new ReadOnce();
        $this->progress = new Progress();
    }

    /** @return array<string, mixed> */
    public function __debugInfo(): array
    {
        return ['id' => $this->id, 'state' => $this->status === null ? '' : $this->status->state];
    }

    /** @param array<int|string, mixed> $columns */
    public function declare(string $sheet, array $columns): void
    {
        if ($this->id !== '' && !$this->isFound) {
            throw new UsageException('The export is open: its columns come before its first row.');
        }
        $this->definition->declare($sheet, $columns);
    }

    /** @param iterable<mixed> $rows of a whole table; closes once all tables are sent */
    public function write(iterable $rows, string $sheet): void
    {
        $this->refuseFound('write()');
        if ($this->isClosedHere) {
            throw new UsageException('write() has closed this export: of one table it takes all rows at once. In steps: push(), push(), close().');
        }
        $this->open();
        if (!$this->status->isOpen()) {
            return;
        }
        try {
            $this->send($rows, $sheet);
            if ($this->unwritten() === []) {
                $this->close([]);
            }
        } catch (\Throwable $error) {
            if ($this->key->isOurs()) {
                $this->cancelQuietly();
                $this->key = new Key(); // another write() begins anew
                $this->id = '';
                $this->sender = null;
            }
            throw $error;
        }
    }

    /** Opens the export, or finds the one of its key. */
    public function open(): void
    {
        if ($this->id === '') {
            $answer = $this->key->open($this->calls, $this->definition->body());
            $this->take($answer);
            $this->watchUrl = is_string($answer['watch_url'] ?? null) ? $answer['watch_url'] : null;
        }
    }

    /** @param iterable<mixed> $rows sent in batches that are numbered in the order of the calls */
    public function push(iterable $rows, string $sheet): void
    {
        $this->refuseFound('push() without a number');
        $this->open();
        $this->send($rows, $sheet);
    }

    /** @param iterable<mixed> $rows sent as the one batch of this number */
    public function pushNumbered(iterable $rows, string $sheet, int $sequence): void
    {
        $this->open();
        $this->read->reading($rows, function () use ($rows, $sheet, $sequence): void {
            $this->sender()->sendNumbered($rows, $this->encoder($sheet), $sheet, $this->counting(), $sequence);
        });
    }

    /** @param array<string, mixed> $totals that are the caller's; without them, those that were counted here */
    public function close(array $totals): void
    {
        $this->open();
        if ($totals === [] && !$this->sender()->isNumbered() && !$this->isFound) {
            if (!$this->status->isOpen()) {
                return;
            }
            $sent = $this->sender()->rows();
            $sheets = $this->definition->sheetNames();
            $totals = ['batches' => $this->sender()->batches(), 'rows' => array_sum($sent)];
            $totals += $sheets === [] ? [] : ['sheets' => (object) ($sent + array_fill_keys($sheets, 0))];
        }
        $this->take($this->json('POST', '/close', $totals));
        $this->isClosedHere = true;
    }

    /** Waits until the file is there; refuses to where nothing closes the export. */
    public function wait(float $seconds): void
    {
        if (!$this->isFound && $this->status !== null && $this->status->isOpen() && !$this->sender()->isNumbered()) {
            $missing = $this->unwritten();
            throw new UsageException('Nothing closes this export: ' . ($missing === [] ? 'close() is missing.' : 'not written is ' . implode(', ', $missing) . '.'));
        }
        $until = Http\Retry::now() + $seconds;
        $poll = min(self::POLL_SECONDS, $this->calls->settings->answerTimeout / 2);
        while (true) {
            $left = $until - Http\Retry::now();
            $this->take($this->json('GET', sprintf('?wait=%.3F', max(0.0, min($poll, $left)))));
            $this->progress->state = $this->status->state;
            $this->progress->percent = $this->status->percent;
            $this->tell();
            if ($this->status->isCompleted()) {
                return;
            }
            $failure = $this->status->failure();
            if ($failure !== null) {
                throw $failure;
            }
            if ($left <= 0) {
                throw $this->notReady("The export is {$this->status->state} after $seconds seconds; it goes on");
            }
            Calls::sleep(0.1); // a service that stops answers at once
        }
    }

    public function status(): Status
    {
        return $this->take($this->json('GET', ''));
    }

    /** As it is now, or as it ended. */
    public function latest(): Status
    {
        return $this->status !== null && $this->status->hasEnded() ? $this->status : $this->status();
    }

    public function id(): string
    {
        $this->open();
        return $this->id;
    }

    public function watchUrl(): ?string
    {
        $this->open();
        return $this->watchUrl;
    }

    /** Gives up what was sent under the key, the file too. */
    public function restart(): void
    {
        $this->refuseFound('restart()');
        $this->open();
        $status = $this->status();
        if (!$status->isOpen() || $status->batches > 0) {
            $this->json('DELETE', '');
            $this->id = '';
        }
        $this->begin();
    }

    /** Gives up what a run has left half-way; what another one has closed, or is sending, stays. */
    public function restartIfStopped(float $seconds): bool
    {
        $this->refuseFound('restartIfStopped()');
        $this->open();
        if (!$this->hasStopped($seconds)) {
            return false;
        }
        $this->begin();
        return true;
    }

    /**
     * @param array<string, mixed>|null $body
     * @param array<string, string> $headers
     * @return array<string, mixed>
     */
    public function json(string $method, string $path, ?array $body = null, array $headers = []): array
    {
        $id = $this->id();
        return $this->calls->json($method, '/v1/exports/' . rawurlencode($id) . $path, $body, $headers, $id);
    }

    /**
     * Whether there is no file of the export, and no run that sends it. One that was left half-way is cancelled, never
     * deleted: that of a run which has finished it meanwhile refuses to be.
     */
    private function hasStopped(float $seconds): bool
    {
        try {
            $seen = $this->lookOn($seconds);
            if ($seen->isOpen() && $seen->batches === 0) {
                return true;
            }
            if ($seen->isOpen()) {
                $this->json('POST', '/cancel', []);
            } elseif ($seen->failure() === null) {
                return false;
            }
        } catch (SluiceException $error) {
            if ($error->code() === 'ALREADY_COMPLETED') {
                $this->status();
                return false;
            }
            if (!in_array($error->code(), self::OVER, true)) {
                throw $error;
            }
        }
        $this->id = '';
        return true;
    }

    /** Its status, once nothing was added to it for so long. */
    private function lookOn(float $seconds): Status
    {
        $until = Http\Retry::now() + $seconds;
        $seen = $this->status();
        while ($seen->isOpen() && $seen->batches > 0 && Http\Retry::now() < $until) {
            Calls::sleep(min(self::LOOK_SECONDS, $seconds / 4));
            $now = $this->status();
            if ($now->isOpen() && $now->batches !== $seen->batches) {
                throw $this->notReady('Another run is sending under this key');
            }
            $seen = $now;
        }
        return $seen;
    }

    private function begin(): void
    {
        $this->open();
        $this->isClosedHere = false;
        $this->sender = null;
        $this->progress = new Progress();
    }

    private function notReady(string $detail): NotReadyException
    {
        return new NotReadyException($detail, 'NOT_READY', ['task_id' => $this->id, 'retryable' => true, 'who' => 'client']);
    }

    /** @param iterable<mixed> $rows */
    private function send(iterable $rows, string $sheet): void
    {
        $this->read->reading($rows, function () use ($rows, $sheet): void {
            $this->sender()->send($rows, $this->encoder($sheet), $sheet, $this->counting());
        });
    }

    private function sender(): Sender
    {
        return $this->sender = $this->sender ?? new Sender($this->calls, $this->id);
    }

    /** What counts an acknowledged batch. Given anew to each call: a sender that kept it would keep this export too. */
    private function counting(): callable
    {
        return function (array $answer, int $bytes, int $retries): void {
            $progress = $this->progress;
            $progress->batches++;
            $progress->rows += (int) ($answer['rows'] ?? 0);
            $progress->bytes += $bytes;
            $progress->replayed += ($answer['replayed'] ?? false) === true ? 1 : 0;
            $progress->retries = $retries;
            $expected = $this->definition->expectedRows();
            $progress->percent = $expected > 0 ? min(75.0, 75.0 * $progress->rows / $expected) : 0.0;
            $this->tell();
        };
    }

    private function encoder(string $sheet): RowEncoder
    {
        return $this->definition->encoder($sheet, $this->calls->settings->utf8 === 'substitute');
    }

    /** @return list<int|string> declared sheets that were not written here yet */
    private function unwritten(): array
    {
        return array_values(array_filter($this->definition->sheetNames(), function ($name): bool {
            return !isset($this->sender()->rows()[$name]);
        }));
    }

    private function cancelQuietly(): void
    {
        try {
            $this->calls->answerOf($this->calls->exchange($this->calls->request('POST', "/v1/exports/{$this->id}/cancel", '{}')), $this->id);
        } catch (SluiceException $ignored) {
            // It expires by itself; what failed before is what matters.
        }
    }

    /** @param array<string, mixed> $answer */
    private function take(array $answer): Status
    {
        $this->status = Status::of($answer);
        $this->id = $this->status->taskId;
        return $this->status;
    }

    private function refuseFound(string $what): void
    {
        if ($this->isFound) {
            throw new UsageException("$what is for exports that are described here; one that was found by its id takes push(\$rows, \$sequence) and close().");
        }
    }

    private function tell(): void
    {
        if ($this->onProgress !== null) {
            ($this->onProgress)($this->progress);
        }
    }
}
