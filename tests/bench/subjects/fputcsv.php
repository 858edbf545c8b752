<?php
// Writes the rows of a JSON Lines file with fputcsv; only the writing is measured. fputcsv.php ROWS TARGET
$rows = array_map('json_decode', file($argv[1]));
$resident = fn (string $line): int => preg_match("/$line:\s+(\d+)/", file_get_contents('/proc/self/status'), $found) ? 1024 * (int) $found[1] : 0;
$reset = fopen('/proc/self/clear_refs', 'w');
fwrite($reset, '5');
fclose($reset);
$before = $resident('VmRSS');
$started = hrtime(true);
$file = fopen($argv[2], 'w');
foreach ($rows as $row) {
    fputcsv($file, $row, ',', '"', '', "\r\n");
}
fclose($file);
$seconds = (hrtime(true) - $started) / 1e9;
echo json_encode(['seconds' => $seconds, 'file_bytes' => filesize($argv[2]), 'grown_bytes' => $resident('VmHWM') - $before]);
