<?php
// PHP_XLSXWriter with the cell types that ours writes; it has none for booleans.
return static function (object $job, array $columns): array {
    $types = ['number' => 'integer', 'string' => 'string', 'datetime' => 'datetime', 'boolean' => 'integer'];
    $book = new XLSXWriter();
    return [
        static function (iterable $rows) use ($book, $columns, $types): void {
            $header = [];
            foreach ($columns as $name => $type) {
                $header[$name] = $name === 'amount' ? 'price' : $types[$type];
            }
            $book->writeSheetHeader('orders', $header);
            foreach ($rows as $row) {
                $book->writeSheetRow('orders', $row);
            }
        },
        static function () use ($book, $job): void {
            $book->writeToFile("$job->folder/php_xlsxwriter.xlsx");
        },
    ];
};
