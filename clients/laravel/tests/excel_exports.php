<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Maatwebsite\Excel\Concerns;
use Sluice\Laravel\Excel\Exportable;

/** As an application that uses Laravel-Excel has it, but for the one line that names the trait. */
class InvoicesExport implements
    Concerns\FromQuery,
    Concerns\ShouldAutoSize,
    Concerns\WithColumnFormatting,
    Concerns\WithColumnWidths,
    Concerns\WithHeadings,
    Concerns\WithMapping,
    Concerns\WithTitle
{
    use Exportable;

    /** @var string */
    private $title;

    public function __construct(string $title = 'Invoices')
    {
        $this->title = $title;
    }

    public function title(): string
    {
        return $this->title;
    }

    public function query()
    {
        return Order::query();
    }

    public function headings(): array
    {
        return ['No', 'Customer', 'Amount', 'Day', 'Paid'];
    }

    public function map($row): array
    {
        return [$row->id, $row->customer, $row->amount, $row->at, $row->paid];
    }

    public function columnFormats(): array
    {
        return ['C' => '#,##0.00', 'D' => 'dd/mm/yyyy'];
    }

    public function columnWidths(): array
    {
        return ['B' => 20.5];
    }
}

/** With a cell that is not of its column's type, and settings of CSV. */
final class OddExport extends InvoicesExport implements Concerns\WithCustomCsvSettings
{
    public function map($row): array
    {
        return [$row->id, $row->customer, $row->id === 1500 ? 'none' : $row->amount, $row->at, null];
    }

    public function getCsvSettings(): array
    {
        return ['delimiter' => ';', 'use_bom' => false, 'line_ending' => "\n", 'output_encoding' => 'GBK'];
    }
}
