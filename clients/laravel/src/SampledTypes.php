<?php

declare(strict_types=1);

namespace Sluice\Laravel;

/** The types of columns that nobody said, as the first rows have them: a column of one kind of values has its type. */
final class SampledTypes
{
    private const ROWS = 1000;

    /**
     * @param iterable<list<mixed>> $rows of which the first are read
     * @return list<string> as many as the longest of them has cells; `string` for a column of several kinds, or of none
     */
    public static function of(iterable $rows): array
    {
        $kinds = [];
        $left = self::ROWS;
        foreach ($rows as $row) {
            foreach ($row as $place => $cell) {
                $kinds[$place] = $kinds[$place] ?? [];
                if ($cell !== null) {
                    $kinds[$place][self::kind($cell)] = true;
                }
            }
            if (--$left === 0) {
                break;
            }
        }
        ksort($kinds);
        return array_values(array_map(static function (array $found): string {
            return count($found) === 1 ? array_key_first($found) : 'string';
        }, $kinds));
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
