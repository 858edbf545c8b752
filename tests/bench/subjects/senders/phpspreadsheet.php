<?php
// PhpSpreadsheet, which holds the whole table in memory: numbers and booleans as such, everything else as text.
use PhpOffice\PhpSpreadsheet\Spreadsheet;
use PhpOffice\PhpSpreadsheet\Writer\Xlsx;

return static function (object $job, array $columns): array {
    $book = new Spreadsheet();
    return [
        static function (iterable $rows) use ($book, $columns): void {
            $sheet = $book->getActiveSheet();
            $sheet->fromArray([array_keys($columns)]);
            $number = 1;
            foreach ($rows as $row) {
                $row[4] = (float) $row[4];
                $sheet->fromArray([$row], null, 'A' . ++$number, true);
            }
        },
        static function () use ($book, $job): void {
            (new Xlsx($book))->save("$job->folder/phpspreadsheet.xlsx");
        },
    ];
};
