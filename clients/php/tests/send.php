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
        $row[$job['odd_cell']] = $job['odd_value'] === 'broken text' ? "broken \xff text" : $job['odd_value'];
    }
    return $row;
}

function rows(array $job, int $count): Generator
{
    for ($number = 1; $number <= $count; $number++) {
        yield row($number, $job);
    }
}

$job = json_decode(stream_get_contents(STDIN), true);
try {
    $client = new Sluice\Client($job['url'], $job['key'] ?? '', $job['settings'] ?? []);
    $export = isset($job['task_id']) ? $client->find($job['task_id']) : $client->export($job['filename'])->options($job['options'] ?? []);
    if (isset($job['idempotency_key'])) {
        $export->key($job['idempotency_key']);
    }
    $last = new Sluice\Progress();
    $export->onProgress(function (Sluice\Progress $progress) use (&$last): void {
        $last = $progress;
        say(['event' => 'progress', 'rows' => $progress->rows, 'state' => $progress->state]);
    });
    if (isset($job['columns'])) {
        $export->columns($job['columns']);
        if ($job['restart'] ?? false) {
            $export->restart();
        }
        $export->write(rows($job, $job['rows']));
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
} catch (Sluice\Throwable $error) {
    say([
        'event' => 'failed', 'kind' => (new ReflectionClass($error))->getShortName(), 'code' => $error->code(),
        'row' => $error->row(), 'column' => $error->column(), 'status' => $error->status(), 'retryable' => $error->retryable(),
        'task_id' => $error->taskId(), 'request_id' => $error->requestId(), 'message' => $error->getMessage(),
    ]);
}
