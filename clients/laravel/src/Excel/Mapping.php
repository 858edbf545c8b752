<?php

declare(strict_types=1);

namespace Sluice\Laravel\Excel;

use Maatwebsite\Excel\Concerns;
use Sluice\Client;
use Sluice\Export;

/** An export of Laravel-Excel as one of Sluice: all of it, or none of it. */
final class Mapping
{
    /** Concerns that are mapped, or that say how the original works, not what is in the file. */
    private const MAPPED = [
        'FromArray', 'FromCollection', 'FromGenerator', 'FromIterator', 'FromQuery', 'ShouldAutoSize', 'WithColumnFormatting',
        'WithColumnWidths', 'WithCustomChunkSize', 'WithCustomCsvSettings', 'WithCustomQuerySize', 'WithHeadings', 'WithMapping',
        'WithMultipleSheets', 'WithStrictNullComparison', 'WithTitle',
    ];
    private const NAMESPACE = 'Maatwebsite\\Excel\\Concerns\\';
    private const LINE_ENDINGS = ["\n" => 'lf', "\r\n" => 'crlf'];
    /** Settings of CSV that only readers have. */
    private const OF_READERS = ['escape_character', 'contiguous', 'input_encoding', 'test_auto_detect', 'enclosure'];

    /** @var object */
    private $export;
    /** @var list<SheetMapping> */
    private $sheets = [];
    /** @var string */
    private $format;

    public function __construct(object $export, string $filename, ?string $writerType)
    {
        $this->export = $export;
        $this->format = strtolower($writerType ?? pathinfo($filename, PATHINFO_EXTENSION));
        foreach ($this->objects() as $sheet) {
            $this->sheets[] = new SheetMapping($sheet);
        }
    }

    /** Why this export is left to the original; null where it is mapped. */
    public function whyNot(): ?string
    {
        foreach (array_merge([$this->export], $this->objects()) as $object) {
            foreach (class_implements($object) as $interface) {
                $isConcern = strncmp($interface, self::NAMESPACE, strlen(self::NAMESPACE)) === 0;
                $name = substr($interface, strlen(self::NAMESPACE));
                if ($isConcern && !in_array($name, self::MAPPED, true)) {
                    return $name;
                }
            }
        }
        if (!in_array($this->format, ['xlsx', 'csv'], true)) {
            return "the format {$this->format}";
        }
        if (count($this->sheets) !== 1 && $this->format === 'csv') {
            return 'several sheets in CSV';
        }
        foreach ($this->sheets as $sheet) {
            $why = $sheet->whyNot();
            if ($why !== null || $sheet->hasHeadings() !== $this->sheets[0]->hasHeadings()) {
                return $why ?? 'headings of some sheets alone';
            }
        }
        return $this->whyNotCsv();
    }

    /** @param string $key empty for an export that no other run goes on with */
    public function describe(Client $sluice, string $filename, string $key = ''): Export
    {
        $export = $sluice->export(basename($filename), $this->format);
        if ($key !== '') {
            $export->key($key);
        }
        // A cell that is not of its column's type stays what it is, as in a workbook of the original.
        $export->options(['on_invalid' => 'text', 'header' => $this->sheets[0]->hasHeadings()] + $this->csvOptions());
        if (count($this->sheets) === 1) {
            $title = $this->sheets[0]->title();
            return $export->columns($this->sheets[0]->columns())->options($title === '' ? [] : ['excel_sheet_name' => $title]);
        }
        foreach ($this->sheets as $number => $sheet) {
            $export->sheet($this->nameOf($number), $sheet->columns());
        }
        return $export;
    }

    public function send(Export $export): void
    {
        if (count($this->sheets) === 1) {
            $export->write($this->sheets[0]->rows());
            return;
        }
        foreach ($this->sheets as $number => $sheet) {
            $export->write($sheet->rows(), $this->nameOf($number));
        }
    }

    /** @return list<object> */
    private function objects(): array
    {
        return $this->export instanceof Concerns\WithMultipleSheets ? array_values($this->export->sheets()) : [$this->export];
    }

    private function nameOf(int $number): string
    {
        $title = $this->sheets[$number]->title();
        return $title !== '' ? $title : 'Worksheet' . ($number === 0 ? '' : " $number");
    }

    /** @return array<string, mixed> */
    private function csvSettings(): array
    {
        if ($this->format !== 'csv') {
            return [];
        }
        $settings = $this->export instanceof Concerns\WithCustomCsvSettings ? $this->export->getCsvSettings() : [];
        return $settings + (array) config('excel.exports.csv', []);
    }

    private function whyNotCsv(): ?string
    {
        $settings = array_filter(array_diff_key($this->csvSettings(), array_flip(self::OF_READERS)));
        unset($settings['delimiter'], $settings['use_bom'], $settings['output_encoding']);
        if (isset($settings['line_ending'], self::LINE_ENDINGS[$settings['line_ending']])) {
            unset($settings['line_ending']);
        }
        if (($this->csvSettings()['enclosure'] ?? '"') !== '"') {
            $settings['enclosure'] = true;
        }
        return $settings === [] ? null : 'the CSV setting ' . array_key_first($settings);
    }

    /** @return array<string, mixed> */
    private function csvOptions(): array
    {
        $settings = $this->csvSettings();
        $options = array_filter(['csv_delimiter' => $settings['delimiter'] ?? '', 'csv_encoding' => strtolower($settings['output_encoding'] ?? '')]);
        if (isset($settings['use_bom'])) {
            $options['csv_bom'] = $settings['use_bom'];
        }
        return $options + (isset($settings['line_ending']) ? ['line_ending' => self::LINE_ENDINGS[$settings['line_ending']]] : []);
    }
}
