<?php

declare(strict_types=1);

namespace Sluice\Laravel;

/** Rows that are read once, and the types that the columns of the first of them have. */
final class SampledRows
{
    private const ROWS = 1000;

    /** @var \Generator */
    private $source;
    /** @var list<mixed> that were read to see their types */
    private $first = [];

    /** @param \Generator<mixed> $rows */
    public function __construct(\Generator $rows)
    {
        $this->source = $rows;
        while (count($this->first) < self::ROWS && $rows->valid()) {
            $this->first[] = $rows->current();
            $rows->next();
        }
    }

    /**
     * The type of each column whose values are of one kind, else `string`.
     *
     * @param callable(mixed): list<mixed>|null $cells of a row; the row itself without it
     * @return list<string> as many as the longest of them has cells
     */
    public function types(?callable $cells = null): array
    {
        $kinds = [];
        foreach ($this->first as $row) {
            foreach ($cells === null ? $row : $cells($row) as $place => $cell) {
                $kinds[$place] = $kinds[$place] ?? [];
                if ($cell !== null) {
                    $kinds[$place][self::kind($cell)] = true;
                }
            }
        }
        ksort($kinds);
        return array_values(array_map(static function (array $found): string {
            return count($found) === 1 ? array_key_first($found) : 'string';
        }, $kinds));
    }

    /**
     * All rows, those that were read before too; once.
     *
     * @return \Generator<int, mixed>
     */
    public function rows(): \Generator
    {
        foreach ($this->first as $row) {
            yield $row;
        }
        for ($this->first = []; $this->source->valid(); $this->source->next()) {
            yield $this->source->current();
        }
    }

    /** @param mixed $cell */
    private static function kind($cell): string
    {
        if ($cell instanceof \DateTimeInterface) {
            return 'datetime';
        }
        $kinds = ['boolean' => 'boolean', 'integer' => 'number', 'double' => 'number'];
        return $kinds[gettype($cell)] ?? 'string';
    }
}
