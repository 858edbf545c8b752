<?php

declare(strict_types=1);

use Sluice\Client;
use Sluice\Column;
use Sluice\Export;
use Sluice\Think\OrderedRows;

if (!function_exists('export_to_sluice')) {
    /**
     * Sends the rows of a query and closes the export: `wait()->url()` is the link.
     *
     * @param \think\db\BaseQuery $query with an order that is unique, or none
     * @param array<int|string, mixed> $columns as {@see Export::columns()} takes them; read from the rows by their names
     * @param string $key says which rows are meant, so that a run that stopped goes on; empty where none is to
     * @param array<string, mixed> $options as {@see Export::options()} takes them; `timezone` is that of the program where it is not here
     * @param list<string> $uniqueBy columns that no two rows have alike, with joins, groups, unions
     */
    function export_to_sluice($query, string $filename, array $columns, string $key = '', array $options = [], array $uniqueBy = []): Export
    {
        $names = array_column(Column::listOf($columns), 'name');
        $cells = static function (iterable $rows) use ($names): Generator {
            foreach ($rows as $row) {
                yield OrderedRows::cellsOf($row, $names);
            }
        };
        $rows = $cells(OrderedRows::of($query, $uniqueBy)); // refused before anything is opened
        $export = app(Client::class)->export($filename)->columns($columns)->options($options + ['timezone' => date_default_timezone_get()]);
        return ($key === '' ? $export : $export->key($key))->write($rows);
    }
}
