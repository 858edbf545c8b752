<?php
// php-ext-xlswriter with constant memory: numbers as numbers, everything else as text.
return static function (object $job, array $columns): array {
    $book = (new Vtiful\Kernel\Excel(['path' => $job->folder]))->constMemory('xlswriter.xlsx');
    return [
        static function (iterable $rows) use ($book, $columns): void {
            $book->header(array_keys($columns));
            foreach ($rows as $row) {
                $row[4] = (float) $row[4];
                $book->data([$row]);
            }
        },
        static function () use ($book): void {
            $book->output();
        },
    ];
};
