<?php

declare(strict_types=1);

namespace Sluice;

/** What an export is: its file, its tables and their columns, its options. */
final class Definition
{
    /** @var array<string, mixed> */
    private $members;
    /** @var array<string, list<array<string, mixed>>> columns by sheet; of the one table by the empty text */
    private $sheets = [];

    public function __construct(string $filename, string $format)
    {
        $this->members = ['filename' => $filename, 'format' => $format, 'options' => []];
    }

    /**
     * @param string $sheet empty for the one table
     * @param array<int|string, mixed> $columns as {@see Column::listOf()} takes them
     */
    public function declare(string $sheet, array $columns): void
    {
        $this->sheets[$sheet] = Column::listOf($columns);
        if (isset($this->sheets['']) && count($this->sheets) > 1) {
            throw new UsageException('An export has columns(), or one or more of sheet(); not both.');
        }
    }

    /** @param array<string, mixed> $options that are added, or replace those of the same name */
    public function addOptions(array $options): void
    {
        $this->members['options'] = $options + $this->members['options'];
    }

    public function expect(int $rows): void
    {
        $this->members['expected_rows'] = $rows;
    }

    /** How many rows were announced; 0 where none were. */
    public function expectedRows(): int
    {
        return $this->members['expected_rows'] ?? 0;
    }

    /** @return list<int|string> declared sheets; none where there is one table, or nothing was declared */
    public function sheetNames(): array
    {
        return isset($this->sheets['']) ? [] : array_keys($this->sheets);
    }

    /** Of the rows of one table. Where nothing was declared, only the service knows the columns. */
    public function encoder(string $sheet, bool $substitutes): RowEncoder
    {
        if ($this->sheets !== [] && !isset($this->sheets[$sheet])) {
            $names = implode(', ', array_keys($this->sheets));
            throw new UsageException($sheet === '' ? "write() and push() name one of the sheets: $names." : "There is no sheet \"$sheet\" here; declared are: $names.");
        }
        return new RowEncoder($this->sheets[$sheet] ?? null, $sheet, $substitutes);
    }

    /** @return array<string, mixed> as the open takes it */
    public function body(): array
    {
        if ($this->sheets === []) {
            throw new UsageException('columns() or sheet() comes first.');
        }
        $body = $this->members;
        if (isset($this->sheets[''])) {
            $body['columns'] = $this->sheets[''];
        } else {
            $body['sheets'] = [];
            foreach ($this->sheets as $name => $columns) {
                $body['sheets'][] = ['name' => (string) $name, 'columns' => $columns];
            }
        }
        $body['options'] = $body['options'] ?: new \stdClass();
        return $body;
    }
}
