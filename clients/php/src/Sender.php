<?php

declare(strict_types=1);

namespace Sluice;

use Sluice\Http\Calls;
use Sluice\Http\Window;

use function strlen;

/** Sends the rows of one export in numbered batches, some at a time, and counts them. */
final class Sender
{
    /** Batches have the first size up to this number, then twice it, three times: 10,000 batches hold any table. */
    private const BATCHES_OF_ONE_SIZE = 2000;
    /** What the service says of the place; the place in the table is said behind. */
    private const PLACE_IN_BATCH = '/^Row [0-9]+ \(batch [0-9]+\)(?:, column "[^"]*")?: /';

    /** @var Calls */
    private $calls;
    /** @var string */
    private $path;
    /** @var Window */
    private $window;
    /** @var array<string, int> rows that were sent, by sheet */
    private $rows = [];
    /** @var int */
    private $batches = 0;
    /** @var bool whether the numbers of batches are the caller's */
    private $isNumbered = false;

    public function __construct(Calls $calls, string $taskId)
    {
        $this->calls = $calls;
        $this->path = '/v1/exports/' . rawurlencode($taskId) . '/batches/';
        $this->window = new Window($calls, $taskId);
    }

    /**
     * Cuts rows into batches, numbered behind those before, and returns once all are stored. After an error the same
     * rows are the same batches again.
     *
     * @param iterable<mixed> $rows
     * @param callable(array<string, mixed>, int, int): void $onBatch takes an acknowledgement, the bytes of its rows and
     *     the retries so far
     */
    public function send(iterable $rows, RowEncoder $encoder, string $sheet, callable $onBatch): void
    {
        $before = $this->batches;
        try {
            $this->rows[$sheet] = $this->sendAll($rows, $encoder, $sheet, $onBatch);
        } catch (\Throwable $error) {
            $this->batches = $before;
            throw $error;
        }
    }

    /**
     * Sends rows as the one batch of this number.
     *
     * @param iterable<mixed> $rows
     * @param callable(array<string, mixed>, int, int): void $onBatch as for {@see send()}
     */
    public function sendNumbered(iterable $rows, RowEncoder $encoder, string $sheet, callable $onBatch, int $sequence): void
    {
        $this->isNumbered = true;
        $jsons = [];
        foreach ($rows as $row) {
            $jsons[] = $encoder->encode($row, count($jsons) + 1);
        }
        self::refuseCutSource($rows);
        ReadOnce::refuseSpent($rows, count($jsons));
        $this->rows[$sheet] = ($this->rows[$sheet] ?? 0) + count($jsons);
        $this->put($sequence, '[' . implode(',', $jsons) . ']', 0, $sheet, $onBatch);
        $this->window->drain();
    }

    public function isNumbered(): bool
    {
        return $this->isNumbered;
    }

    /** @return array<string, int> rows that were sent, by sheet */
    public function rows(): array
    {
        return $this->rows;
    }

    public function batches(): int
    {
        return $this->batches;
    }

    /** @param iterable<mixed> $rows */
    private function sendAll(iterable $rows, RowEncoder $encoder, string $sheet, callable $onBatch): int
    {
        $sent = $before = $this->rows[$sheet] ?? 0;
        $jsons = [];
        $held = $bytes = 0;
        [$bytesMax, $rowsMax] = $this->batchSize();
        foreach ($rows as $row) {
            $jsons[] = $json = $encoder->encode($row, $sent + ++$held);
            $bytes += strlen($json) + 1;
            if ($bytes >= $bytesMax || $held >= $rowsMax) {
                $jsons[0] = '[' . $jsons[0]; // here, where it copies one row and not all
                $batch = implode(',', $jsons);
                $batch .= ']';
                $jsons = [];
                $this->put(++$this->batches, $batch, $sent, $sheet, $onBatch);
                $sent += $held;
                $held = $bytes = 0;
                [$bytesMax, $rowsMax] = $this->batchSize();
            }
        }
        self::refuseCutSource($rows);
        ReadOnce::refuseSpent($rows, $sent + $held - $before);
        if ($held > 0) {
            $this->put(++$this->batches, '[' . implode(',', $jsons) . ']', $sent, $sheet, $onBatch);
        }
        $this->window->drain();
        return $sent + $held;
    }

    /**
     * A silent PDO (ERRMODE_SILENT, the default of PHP 7) ends the rows of a query that failed half-way like those of one
     * that is whole.
     *
     * @param iterable<mixed> $rows
     */
    private static function refuseCutSource(iterable $rows): void
    {
        if ($rows instanceof \PDOStatement && !in_array($rows->errorCode(), [null, '', '00000'], true)) {
            throw new UsageException('The query failed while its rows were read: ' . implode(' ', $rows->errorInfo()), 'SOURCE_FAILED');
        }
    }

    /** @return array{int, int} the bytes and the rows at which the next batch is sent */
    private function batchSize(): array
    {
        $settings = $this->calls->settings;
        $factor = min(1 << intdiv($this->batches, self::BATCHES_OF_ONE_SIZE), 8);
        return [$settings->batchBytes * min($factor, 4), $settings->batchRows * $factor];
    }

    private function put(int $sequence, string $json, int $rowsBefore, string $sheet, callable $onBatch): void
    {
        $path = $this->path . $sequence . ($sheet === '' ? '' : '?sheet=' . rawurlencode($sheet));
        $bytes = strlen($json);
        $this->window->put(
            $this->calls->request('PUT', $path, $json),
            function (array $answer) use ($bytes, $onBatch): void {
                $onBatch($answer, $bytes, $this->window->retries);
            },
            static function (SluiceException $error) use ($rowsBefore, $sequence, $sheet): SluiceException {
                if ($error->status() === null) {
                    return $error;
                }
                $row = $error->row();
                $place = $row === null ? [] : ['row' => $row + $rowsBefore, 'batch_row' => $row];
                return $error->at($place + ['batch' => $sequence] + ($sheet === '' ? [] : ['sheet' => $sheet]), self::PLACE_IN_BATCH);
            }
        );
    }
}
