<?php
// openspout with inline texts: numbers and booleans as such, everything else as text.
use OpenSpout\Common\Entity\Row;
use OpenSpout\Writer\XLSX\Writer;

return static function (object $job, array $columns): array {
    $book = new Writer();
    return [
        static function (iterable $rows) use ($book, $columns, $job): void {
            $book->openToFile("$job->folder/openspout.xlsx");
            $book->addRow(Row::fromValues(array_keys($columns)));
            foreach ($rows as $row) {
                $row[4] = (float) $row[4];
                $book->addRow(Row::fromValues($row));
            }
        },
        static function () use ($book): void {
            $book->close();
        },
    ];
};
