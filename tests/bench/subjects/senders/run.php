<?php
// Sends or writes the order table by one subject and says in JSON what that took: run.php SUBJECT, the job on standard input.
declare(strict_types=1);

if (is_file($rivals = __DIR__ . '/../../../../build/bench/php/vendor/autoload.php')) {
    require $rivals;
}
require __DIR__ . '/../../../../clients/php/sluice.php';
$job = json_decode(stream_get_contents(STDIN));
$table = json_decode(file_get_contents($job->table), true);

/** The rows of the block again and again, each with a number of its own: the whole table is never in memory. */
$rows = static function () use ($job, $table): Generator {
    $block = $table['rows'];
    $size = count($block);
    for ($index = 0; $index < $job->rows; $index++) {
        $row = $block[$index % $size];
        $row[0] = $job->first + $index;
        yield $row;
    }
};
$cpu = static function (): float {
    $used = getrusage();
    return $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec'] + ($used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']) / 1e6;
};
$resident = static function (string $line): int {
    return preg_match("/$line:\s+(\d+)/", file_get_contents('/proc/self/status'), $found) ? 1024 * (int) $found[1] : 0;
};

$before = $cpu();
foreach ($rows() as $row) {
}
$ofRows = $cpu() - $before;
[$push, $finish] = (require __DIR__ . "/$argv[1].php")($job, $table['columns']);
file_put_contents('/proc/self/clear_refs', '5'); // the peak starts at what is resident now
$resting = $resident('VmRSS');
$started = hrtime(true);
$before = $cpu();
$push($rows());
$pushed = hrtime(true);
$finish();
echo json_encode([
    'pushed_s' => ($pushed - $started) / 1e9,
    'finished_s' => (hrtime(true) - $started) / 1e9,
    'cpu_s' => $cpu() - $before - $ofRows,
    'peak_bytes' => memory_get_peak_usage(true),
    'grown_bytes' => $resident('VmHWM') - $resting,
]);
