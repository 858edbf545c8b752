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
            throw self::unexpected('task_id or state');
        }
        $status->taskId = $answer['task_id'];
        $status->state = $answer['state'];
        $status->filename = self::member($answer, 'filename', 'is_string') ?? '';
        $status->format = self::member($answer, 'format', 'is_string') ?? '';
        $status->rows = self::member($answer, 'rows_received', 'is_int') ?? 0;
        $status->rowsWritten = self::member($answer, 'rows_written', 'is_int') ?? 0;
        $status->batches = self::member($answer, 'batches', 'is_int') ?? 0;
        $status->percent = (float) (self::member($answer, 'progress_percent', 'is_numeric') ?? 0);
        $status->secondsLeft = self::member($answer, 'eta_seconds', 'is_int');
        $status->bytes = self::member($answer, 'file_size_bytes', 'is_int');
        $status->sha256 = self::member($answer, 'checksum_sha256', 'is_string');
        $status->expiresAt = self::member($answer, 'expires_at', 'is_string');
        foreach (self::member($answer, 'warnings', 'is_array') ?? [] as $warning) {
            $kind = is_array($warning) ? self::member($warning, 'kind', 'is_string') : null;
            $count = is_array($warning) ? self::member($warning, 'count', 'is_int') : null;
            if ($kind === null || $count === null) {
                throw self::unexpected('warnings');
            }
            $status->warnings[$kind] = $count;
        }
        self::member($answer, 'error', 'is_array');
        $status->answer = $answer;
        return $status;
    }

    /**
     * @param array<string, mixed> $answer
     * @param callable(mixed): bool $isKind
     * @return mixed null where it is null or missing
     * @throws TransportException where it is of another kind
     */
    private static function member(array $answer, string $name, callable $isKind)
    {
        $value = $answer[$name] ?? null;
        if ($value !== null && !$isKind($value)) {
            throw self::unexpected($name);
        }
        return $value;
    }

    private static function unexpected(string $name): TransportException
    {
        return new TransportException("the answer's $name is not what a Sluice service answers there", 'UNEXPECTED_ANSWER');
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
        return new ExportFailedException(
            self::member($error, 'message', 'is_string') ?? "The export is {$this->state}.",
            self::member($error, 'code', 'is_string') ?? strtoupper($this->state),
            [
                'task_id' => $this->taskId,
                'retryable' => ($error['retryable'] ?? false) === true,
                'who' => self::member($error, 'who', 'is_string') ?? '',
            ]
        );
    }
}
