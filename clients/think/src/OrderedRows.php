<?php

declare(strict_types=1);

namespace Sluice\Think;

use Sluice\ModelCells;
use Sluice\UsageException;

/** The rows of a query of ThinkORM, each once and in the same order at every run, read by `cursor()`. */
final class OrderedRows
{
    /** What may put a row's key into several rows of the result. */
    private const COMPOSING = ['join', 'union', 'group', 'distinct', 'view'];

    /**
     * @param \think\db\BaseQuery $query
     * @param list<string> $uniqueBy columns that no two rows of the result have alike; without it the primary key
     * @return iterable<mixed> arrays, or models where the query is of a model
     * @throws UsageException for a query whose order is not unique, or whose key is not known
     */
    public static function of($query, array $uniqueBy = []): iterable
    {
        $query = clone $query;
        $unique = $uniqueBy ?: self::keyOf($query);
        $ordered = self::ordered($query);
        $missing = array_diff(array_map([self::class, 'bare'], $unique), array_map([self::class, 'bare'], $ordered));
        if ($ordered === []) {
            foreach ($unique as $column) {
                $query->order($column);
            }
        } elseif ($missing !== []) {
            $calls = implode('', array_map(static function (string $column): string { return "->order('$column')"; }, $missing));
            throw new UsageException("The order of this query is not unique, so a run that goes on may meet its rows in another. Add $calls at its end, or say other columns that no two rows have alike.");
        }
        return $query->cursor();
    }

    /**
     * What is in these columns of a row; a name that the row does not have is an error, not an empty cell.
     *
     * @param array<string, mixed>|\think\Model $row
     * @param list<string> $names
     * @return list<mixed>
     */
    public static function cellsOf($row, array $names): array
    {
        $had = is_array($row) ? $row : ModelCells::of($row, $names) ?? [];
        $cells = [];
        foreach ($names as $name) {
            if (!array_key_exists($name, $had)) {
                throw new UsageException("The rows of this query have no \"$name\": select it.");
            }
            $cells[] = $had[$name];
        }
        return $cells;
    }

    /**
     * @param \think\db\BaseQuery $query
     * @return list<string>
     */
    private static function keyOf($query): array
    {
        foreach (self::COMPOSING as $clause) {
            if ($query->getOptions($clause)) {
                throw new UsageException("With $clause the key may be in several rows: name the columns that no two rows have alike.");
            }
        }
        $key = array_values(array_filter((array) $query->getPk()));
        if ($key === []) {
            throw new UsageException('The table has no primary key: name the columns that no two rows have alike.');
        }
        return $key;
    }

    /**
     * Columns that the query is ordered by, as it keeps them: names, names with a direction, or directions by name. What is
     * written in SQL cannot be seen into, and counts as none of them.
     *
     * @param \think\db\BaseQuery $query
     * @return list<string>
     */
    private static function ordered($query): array
    {
        $ordered = [];
        foreach ((array) ($query->getOptions('order') ?: []) as $name => $order) {
            $ordered[] = is_string($name) ? $name : (is_string($order) ? explode(' ', trim($order))[0] : '');
        }
        return $ordered;
    }

    private static function bare(string $column): string
    {
        return substr((string) strrchr(".$column", '.'), 1);
    }
}
