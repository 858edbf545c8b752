<?php

/**
 * The sender of the conformance suite (tests/senders): does one job, given as JSON on standard input, and says on
 * standard output, in a line of JSON each, how far it is and how it ended.
 */

declare(strict_types=1);

require __DIR__ . '/../sluice.php';

function say(array $what): void
{
    echo json_encode($what, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
    flush();
}

/** Row `$number` of the table that every sender sends; the suite knows it too. */
function row(int $number, array $job): array
{
    $row = [$number, "客户 $number 😀, \"quoted\"\n=1+1", $number % 2 === 0, $number % 7 === 0 ? null : $number / 4, null];
    $row[4] = '2025031400000' . str_pad((string) $number, 7, '0', STR_PAD_LEFT);
    if ($number === ($job['odd_row'] ?? 0)) {
        $own = ['broken text' => "broken \xff text", 'a moment of long ago' => new DateTimeImmutable('1900-12-31', new DateTimeZone('Asia/Shanghai'))];
        $row[$job['odd_cell']] = $own[$job['odd_value']] ?? $job['odd_value'];
    }
    return $row;
}

/** What a source of rows throws, as a database whose server has gone. */
final class SourceError extends RuntimeException
{
}

function rows(array $job, int $count): Generator
{
    for ($number = 1; $number <= $count; $number++) {
        if ($number === ($job['fails_at'] ?? 0)) {
            throw new SourceError('the database went away');
        }
        yield row($number, $job);
    }
}

/** They begin anew at each reading. */
final class Rows implements IteratorAggregate
{
    /** @var array */
    public $job;

    public function getIterator(): Iterator
    {
        return rows($this->job, $this->job['rows']);
    }
}

function described(Sluice\Client $client, array $job, ?Sluice\Progress &$last): Sluice\Export
{
    $export = isset($job['task_id']) ? $client->find($job['task_id']) : $client->export($job['filename'])->options($job['options'] ?? []);
    if (isset($job['idempotency_key'])) {
        $export->key($job['idempotency_key']);
    }
    $export->onProgress(function (Sluice\Progress $progress) use (&$last): void {
        $last = $progress;
        say(['event' => 'progress', 'rows' => $progress->rows, 'state' => $progress->state]);
    });
    return isset($job['columns']) ? $export->columns($job['columns']) : $export;
}

/** As a program that tries again with the rows that it has. */
function sent(Sluice\Client $client, array $job, iterable $rows, ?Sluice\Progress &$last): Sluice\Export
{
    for ($left = $job['again'] ?? 0; ; $left--) {
        $export = described($client, $job, $last);
        try {
            if (($job['restart'] ?? false) === 'stopped') {
                $export->restartIfStopped($job['look_s'] ?? 5);
            } elseif ($job['restart'] ?? false) {
                $export->restart();
            }
            return isset($job['columns']) ? $export->write($rows) : $export;
        } catch (Sluice\Throwable $error) {
            if ($left === 0) {
                throw $error;
            }
            say(['event' => 'progress', 'rows' => 0, 'state' => $error->code()]);
        }
    }
}

$job = json_decode(stream_get_contents(STDIN), true);
try {
    if (isset($job['notice'])) {
        say(['event' => 'done', 'notice' => Sluice\Webhook::verify($job['notice'], $job['headers'], $job['secrets'])]);
        exit;
    }
    $client = new Sluice\Client($job['url'], $job['key'] ?? '', $job['settings'] ?? []);
    $last = new Sluice\Progress();
    $rows = rows($job, $job['rows'] ?? 0);
    if (($job['source'] ?? '') === 'list') {
        $rows = new Rows();
        $rows->job = $job;
    } elseif (($job['source'] ?? '') === 'once') {
        $rows = new NoRewindIterator($rows);
    }
    $export = isset($job['task_id']) ? described($client, $job, $last) : sent($client, $job, $rows, $last);
    if ($job['twice'] ?? false) {
        $export = sent($client, $job, $rows, $last);
    }
    foreach ($job['sheets'] ?? [] as $name => $sheet) {
        $export->sheet($name, $sheet['columns']);
    }
    foreach ($job['sheets'] ?? [] as $name => $sheet) {
        $export->write(rows($job, $sheet['rows']), $name);
    }
    $export->wait($job['wait_s'] ?? 120);
    if (isset($job['save_to'])) {
        $export->saveTo($job['save_to']);
    }
    say([
        'event' => 'done', 'task_id' => $export->id(), 'rows' => $export->rows(), 'warnings' => $export->warnings(),
        'watch_url' => isset($job['columns']) ? $export->watchUrl() : null, 'sent' => $last->rows, 'replayed' => $last->replayed, 'batches' => $last->batches, 'retries' => $last->retries,
        'peak_bytes' => memory_get_peak_usage(),
    ]);
} catch (SourceError $error) {
    say(['event' => 'failed', 'code' => 'SOURCE', 'retryable' => false, 'message' => $error->getMessage()]);
} catch (Sluice\Throwable $error) {
    say([
        'event' => 'failed', 'kind' => (new ReflectionClass($error))->getShortName(), 'code' => $error->code(),
        'row' => $error->row(), 'column' => $error->column(), 'status' => $error->status(), 'retryable' => $error->retryable(),
        'task_id' => $error->taskId(), 'request_id' => $error->requestId(), 'message' => $error->getMessage(),
    ]);
}
