<?php

declare(strict_types=1);

namespace Sluice\Laravel;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Contracts\Queue\ShouldBeUnique;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\Jobs\SyncJob;
use Illuminate\Support\Carbon;
use Sluice\Client;
use Sluice\Export;
use Sluice\Laravel\Events\ExportCompleted;
use Sluice\NotReadyException;
use Sluice\SourceChangedException;
use Sluice\Status;
use Sluice\Throwable as SluiceError;

/**
 * A job of the queue that sends one export and ends when its file is there, so that a chain goes on at that moment.
 *
 * One that is killed, or meets an error that may pass, comes back and goes on under the same key: what the service has is
 * acknowledged again. While the file is written it goes back into the queue, so that no worker waits. An error that
 * will not pass fails it at once. Where nothing runs it again (the sync connection, dispatchSync()), it waits, and throws.
 */
abstract class PushJob implements ShouldQueue, ShouldBeUnique
{
    use Dispatchable;
    use InteractsWithQueue;
    use Queueable;

    private const PAUSE_S = 5;
    private const PAUSE_MAX_S = 300;

    /** @var int retryUntil() decides; */
    public $tries = 0;
    /** @var int and so many errors that are none of Sluice's, such as those of the database. */
    public $maxExceptions = 3;
    /** @var int Seconds of one run. The connection's `retry_after` should be more, or a second worker sends the same beside it. */
    public $timeout = 900;
    /** @var int Seconds from the dispatch in which the file must be there; and for which the job is unique. */
    public $uniqueFor = 86400;
    /** @var int Seconds for which a run waits for the file before it goes back into the queue. */
    public $patience = 10;

    /** Describes the export, its key included; sends nothing. */
    abstract protected function describe(Client $sluice): Export;

    /** Writes the rows, all of them and always in the same order. */
    abstract protected function send(Export $export): void;

    /** Jobs of this class with the same id are not queued twice. */
    abstract public function uniqueId(): string;

    /** Called once the file is there, before the event and the chain; what it throws brings the job back. */
    protected function completed(Export $export, Status $status): void
    {
    }

    public function retryUntil(): Carbon
    {
        return Carbon::now()->addSeconds($this->uniqueFor);
    }

    public function handle(Client $sluice, Dispatcher $events): void
    {
        try {
            $export = $this->describe($sluice);
            if (!$this->isSent($export)) {
                $this->release();
                return;
            }
            $export->wait($this->comesBack() ? $this->patience : $this->uniqueFor);
        } catch (SluiceError $error) {
            $this->comeBackOrFail($error);
            return;
        }
        $status = $export->status();
        $this->completed($export, $status);
        $events->dispatch(new ExportCompleted($this, $status));
    }

    /**
     * Rows that changed since an earlier run stopped half-way: that run is given up, once, and all are sent anew. What
     * another worker has closed stays; while one sends, this job comes back.
     *
     * @return bool false where all are to be sent by another instance of this job, which has counted no rows yet
     */
    private function isSent(Export $export): bool
    {
        try {
            $this->send($export);
        } catch (SourceChangedException $changed) {
            if ($export->restartIfStopped()) {
                if ($this->comesBack()) {
                    return false;
                }
                $this->send($export);
            }
        }
        return true;
    }

    private function comesBack(): bool
    {
        return $this->job !== null && !$this->job instanceof SyncJob;
    }

    private function comeBackOrFail(SluiceError $error): void
    {
        if (!$this->comesBack()) {
            throw $error;
        }
        if (!$error->retryable()) {
            $this->fail($error);
            return;
        }
        $pause = self::PAUSE_S;
        if (!$error instanceof NotReadyException) {
            $pause = min(self::PAUSE_MAX_S, $pause * 2 ** min($this->attempts() - 1, 10));
        }
        $this->release(max($pause, (int) ceil($error->retryAfter())));
    }
}
