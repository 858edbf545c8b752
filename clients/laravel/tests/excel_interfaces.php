<?php

/**
 * What the driver knows of Laravel-Excel 3.1, in our own words: names of concerns, their methods, and the object that its
 * own trait asks. Nothing here is the package's code, and nothing here writes a file.
 */

declare(strict_types=1);

namespace Maatwebsite\Excel\Concerns {
    interface FromQuery { public function query(); }
    interface FromCollection { public function collection(); }
    interface FromArray { public function array(): array; }
    interface FromGenerator { public function generator(): \Generator; }
    interface FromIterator { public function iterator(): \Iterator; }
    interface WithHeadings { public function headings(): array; }
    interface WithMapping { public function map($row): array; }
    interface WithTitle { public function title(): string; }
    interface WithMultipleSheets { public function sheets(): array; }
    interface WithColumnFormatting { public function columnFormats(): array; }
    interface WithColumnWidths { public function columnWidths(): array; }
    interface WithCustomCsvSettings { public function getCsvSettings(): array; }
    interface WithEvents { public function registerEvents(): array; }
    interface ShouldAutoSize { }
}

namespace Maatwebsite\Excel {
    interface Exporter { }
}
