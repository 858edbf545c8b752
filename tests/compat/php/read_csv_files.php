<?php
// Reads CSV files with fgetcsv, decoded by iconv, and prints their fields as JSON.
//
// Usage: php read_csv_files.php, with a JSON list of
// {"path": …, "encoding": …, "delimiter": …, "escape": …} as standard input.

declare(strict_types=1);

const MARK = "\u{FEFF}";

function fields(array $file): array
{
    $text = file_get_contents($file["path"]);
    if (str_starts_with($text, "\x1f\x8b")) {
        $text = gzdecode($text);
    }
    $text = iconv($file["encoding"], "UTF-8", $text);
    if (str_starts_with($text, MARK)) {
        $text = substr($text, strlen(MARK));
    }
    $stream = fopen("php://memory", "w+");
    fwrite($stream, $text);
    rewind($stream);
    $rows = [];
    while (($row = fgetcsv($stream, null, $file["delimiter"], '"', $file["escape"])) !== false) {
        $rows[] = $row;
    }
    return $rows;
}

$files = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
echo json_encode(array_map("fields", $files), JSON_THROW_ON_ERROR);
