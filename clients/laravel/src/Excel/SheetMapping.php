<?php

declare(strict_types=1);

namespace Sluice\Laravel\Excel;

use Illuminate\Contracts\Support\Arrayable;
use Illuminate\Support\Collection;
use Maatwebsite\Excel\Concerns;
use Sluice\Laravel\OrderedRows;
use Sluice\Laravel\SampledRows;
use Sluice\UsageException;

/** One sheet of an export of Laravel-Excel: its columns and rows, as its concerns say. */
final class SheetMapping
{
    private const SOURCES = [
        Concerns\FromArray::class, Concerns\FromCollection::class, Concerns\FromGenerator::class, Concerns\FromIterator::class, Concerns\FromQuery::class,
    ];
    private const LETTERS = '/^[A-Z]{1,3}$/D';
    private const EXCEL_EPOCH_DAYS = 25569; // 1970-01-01 as Excel counts days

    /** @var object */
    private $sheet;
    /** @var list<array<string, mixed>>|null */
    private $columns;
    /** @var SampledRows|null of which the first were read for the types of the columns; a source may be read only once */
    private $begun;
    /** @var iterable<mixed>|null rows that are in memory anyway */
    private $kept;

    public function __construct(object $sheet)
    {
        $this->sheet = $sheet;
    }

    public function title(): string
    {
        return $this->sheet instanceof Concerns\WithTitle ? $this->sheet->title() : '';
    }

    public function hasHeadings(): bool
    {
        return $this->sheet instanceof Concerns\WithHeadings;
    }

    /** Why this sheet cannot be mapped, of what its concerns do not say by themselves; null where it can. */
    public function whyNot(): ?string
    {
        $sheet = $this->sheet;
        $sources = array_filter(self::SOURCES, static function (string $source) use ($sheet): bool { return $sheet instanceof $source; });
        if (count($sources) !== 1) {
            return 'rows from ' . count($sources) . ' sources';
        }
        if (method_exists($sheet, 'prepareRows')) {
            return 'prepareRows()';
        }
        if ($sheet instanceof Concerns\FromQuery && !OrderedRows::takes($sheet->query())) {
            return 'a query that is none of the database';
        }
        if ($this->hasHeadings() && array_filter($sheet->headings(), 'is_array') !== []) {
            return 'headings of several rows';
        }
        foreach (array_keys($this->formats() + $this->widths()) as $letters) {
            if (!preg_match(self::LETTERS, (string) $letters)) {
                return "the range $letters";
            }
        }
        return null;
    }

    /** @return list<array<string, mixed>> */
    public function columns(): array
    {
        if ($this->columns === null) {
            $names = $this->hasHeadings() ? array_values($this->sheet->headings()) : [];
            $this->begun = new SampledRows($this->cells());
            $types = $this->begun->types();
            $said = method_exists($this->sheet, 'columnTypes') ? $this->sheet->columnTypes() : [];
            $formats = $this->byPlace($this->formats());
            $widths = $this->byPlace($this->widths());
            $types = $this->byPlace($said) + array_map([self::class, 'typeOf'], $formats) + $types;
            $this->columns = [];
            for ($place = 0; $place < max(1, count($names), $types === [] ? 0 : max(array_keys($types)) + 1); $place++) {
                $type = $types[$place] ?? 'string';
                $format = $type === 'string' || strcasecmp($formats[$place] ?? 'General', 'General') === 0 ? [] : ['format' => $formats[$place]];
                $width = isset($widths[$place]) ? ['width' => max(1, (int) ceil($widths[$place]))] : [];
                $this->columns[] = ['name' => (string) ($names[$place] ?? self::letters($place)), 'type' => $type] + $format + $width;
            }
        }
        return $this->columns;
    }

    /** @return \Generator<int, list<mixed>> */
    public function rows(): \Generator
    {
        $columns = $this->columns();
        $begun = $this->begun ?? new SampledRows($this->cells());
        $this->begun = null;
        foreach ($begun->rows() as $row) {
            foreach ($row as $place => $cell) {
                $type = $columns[$place]['type'] ?? '';
                if ($cell instanceof \DateTimeInterface) { // as the program's clock shows it, as the original writes it
                    $row[$place] = $cell->format($type === 'date' ? 'Y-m-d' : ((int) $cell->format('u') === 0 ? 'Y-m-d H:i:s' : 'Y-m-d H:i:s.u'));
                }
                if (($type === 'date' || $type === 'datetime') && (is_int($cell) || is_float($cell))) {
                    $seconds = (int) round(($cell - self::EXCEL_EPOCH_DAYS) * 86400); // as Date::dateTimeToExcel() gave it
                    $row[$place] = gmdate($type === 'date' ? 'Y-m-d' : 'Y-m-d\TH:i:s', $seconds);
                }
            }
            yield array_pad($row, count($columns), null);
        }
    }

    /** @return \Generator<int, list<mixed>> */
    private function cells(): \Generator
    {
        foreach ($this->source() as $item) {
            $mapped = $this->sheet instanceof Concerns\WithMapping ? $this->sheet->map($item) : self::arrayOf($item);
            $isOfRows = count(array_filter($mapped, 'is_array')) === count($mapped); // one item may be several rows, or none
            foreach ($isOfRows ? $mapped : [$mapped] as $row) {
                yield array_values($row);
            }
        }
    }

    /** @return iterable<mixed> */
    private function source(): iterable
    {
        $sheet = $this->sheet;
        if ($this->kept !== null) {
            return $this->kept;
        }
        if ($sheet instanceof Concerns\FromQuery) {
            return OrderedRows::of($sheet->query(), method_exists($sheet, 'uniqueBy') ? $sheet->uniqueBy() : []);
        }
        if ($sheet instanceof Concerns\FromGenerator) {
            return $sheet->generator();
        }
        if ($sheet instanceof Concerns\FromIterator) {
            return $sheet->iterator();
        }
        $rows = $sheet instanceof Concerns\FromCollection ? $sheet->collection() : $sheet->array();
        $this->kept = is_array($rows) || $rows instanceof Collection ? $rows : null;
        return $rows;
    }

    /** @param mixed $item */
    private static function arrayOf($item): array
    {
        if (is_object($item) && method_exists($item, 'attributesToArray')) {
            return $item->attributesToArray(); // of a model, without its relations
        }
        return $item instanceof Arrayable ? $item->toArray() : (array) $item;
    }

    /** @return array<string, string> by letters of columns */
    private function formats(): array
    {
        return $this->sheet instanceof Concerns\WithColumnFormatting ? $this->sheet->columnFormats() : [];
    }

    /** @return array<string, float|int> by letters of columns */
    private function widths(): array
    {
        return $this->sheet instanceof Concerns\WithColumnWidths ? $this->sheet->columnWidths() : [];
    }

    /** @param array<string, mixed> $byLetters of columns, such as `B` */
    private function byPlace(array $byLetters): array
    {
        $byPlace = [];
        foreach ($byLetters as $letters => $value) {
            if (!preg_match(self::LETTERS, (string) $letters)) {
                throw new UsageException("\"$letters\" is no column: its letters are, such as B.");
            }
            $place = 0;
            foreach (str_split($letters) as $letter) {
                $place = $place * 26 + ord($letter) - 64;
            }
            $byPlace[$place - 1] = $value;
        }
        return $byPlace;
    }

    private static function letters(int $place): string
    {
        $letters = '';
        for ($rest = $place + 1; $rest > 0; $rest = intdiv($rest - 1, 26)) {
            $letters = chr(65 + ($rest - 1) % 26) . $letters;
        }
        return $letters;
    }

    /**
     * The type that values have which are shown in a format of spreadsheets. Durations and times of day are numbers
     * there, parts of a day, and no moments.
     */
    private static function typeOf(string $format): string
    {
        if (preg_match('/\[(?:h+|m+|s+)\]/i', $format)) {
            return 'number';
        }
        $code = (string) preg_replace('/"[^"]*"|\\\\.|\[[^\]]*\]/', '', $format); // without literal text, colours and locales
        if ($code === '@' || strcasecmp($code, 'General') === 0) {
            return 'string';
        }
        if (preg_match('/[hs]/i', $code)) {
            return preg_match('/[yd]/i', $code) ? 'datetime' : 'number';
        }
        return preg_match('/[ymd]/i', $code) ? 'date' : 'number';
    }
}
