<?php

declare(strict_types=1);

namespace Sluice;

/** An export as it was when the service answered. Times are ISO 8601 in UTC. */
final class Status
{
    private const ENDED = ['completed', 'failed', 'cancelled', 'expired'];

    /** @var string */
    public $taskId;
    /** @var string open, sealed, composing; completed, failed, cancelled, expired */
    public $state;
    /** @var string */
    public $filename;
    /** @var string */
    public $format;
    /** @var int that the service has stored */
    public $rows;
    /** @var int that are in the file, or in what there is of it */
    public $rowsWritten;
    /** @var int */
    public $batches;
    /** @var float of the way to the file; where rows were announced, sending them is 75 of it */
    public $percent;
    /** @var int|null seconds until the file is there, as far as anyone can tell */
    public $secondsLeft;
    /** @var int|null */
    public $bytes;
    /** @var string|null of the file */
    public $sha256;
    /** @var array<string, int> what the writer had to count, by kind */
    public $warnings = [];
    /** @var string|null */
    public $expiresAt;
    /** @var array<string, mixed> all that was answered, what this release does not know too */
    public $answer;

    /**
     * @param array<string, mixed> $answer
     * @throws TransportException for what is no status
     */
    public static function of(array $answer): self
    {
        $status = new self();
        if (!is_string($answer['task_id'] ?? null) || !is_string($answer['state'] ?? null)) {
            throw new TransportException('the answer is no status of an export', 'UNEXPECTED_ANSWER');
        }
        $status->taskId = $answer['task_id'];
        $status->state = $answer['state'];
        $status->filename = (string) ($answer['filename'] ?? '');
        $status->format = (string) ($answer['format'] ?? '');
        $status->rows = (int) ($answer['rows_received'] ?? 0);
        $status->rowsWritten = (int) ($answer['rows_written'] ?? 0);
        $status->batches = (int) ($answer['batches'] ?? 0);
        $status->percent = (float) ($answer['progress_percent'] ?? 0);
        $status->secondsLeft = $answer['eta_seconds'] ?? null;
        $status->bytes = $answer['file_size_bytes'] ?? null;
        $status->sha256 = $answer['checksum_sha256'] ?? null;
        $status->expiresAt = $answer['expires_at'] ?? null;
        foreach ($answer['warnings'] ?? [] as $warning) {
            $status->warnings[(string) $warning['kind']] = (int) $warning['count'];
        }
        $status->answer = $answer;
        return $status;
    }

    /** The rows may still come. */
    public function isOpen(): bool
    {
        return $this->state === 'open';
    }

    /** The file is there. */
    public function isCompleted(): bool
    {
        return $this->state === 'completed';
    }

    /** Nothing changes any more. */
    public function hasEnded(): bool
    {
        return in_array($this->state, self::ENDED, true);
    }

    /** Why there is no file and never will be; null while there may be one. */
    public function failure(): ?ExportFailedException
    {
        if (!$this->hasEnded() || $this->isCompleted()) {
            return null;
        }
        $error = $this->answer['error'] ?? [];
        $known = ['task_id' => $this->taskId, 'retryable' => ($error['retryable'] ?? false) === true, 'who' => (string) ($error['who'] ?? '')];
        return new ExportFailedException(
            (string) ($error['message'] ?? "The export is {$this->state}."),
            (string) ($error['code'] ?? strtoupper($this->state)),
            $known
        );
    }
}
