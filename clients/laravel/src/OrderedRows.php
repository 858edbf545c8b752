<?php

declare(strict_types=1);

namespace Sluice\Laravel;

use Illuminate\Database\Eloquent\Builder as EloquentBuilder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\Relation;
use Illuminate\Database\Query\Builder as QueryBuilder;
use Sluice\UsageException;

/**
 * The rows of a query, each once and in the same order at every run, so that a run goes on where one before it stopped.
 *
 * Without an order, or with that of its key, a plain query is read in pages by its key (`lazyById`). Any other is one
 * statement (`cursor`), since pages would double or miss rows there. A query whose order is not unique is refused.
 */
final class OrderedRows
{
    private const PAGE_ROWS = 1000;

    /** @var EloquentBuilder|QueryBuilder */
    private $query;
    /** @var QueryBuilder the same without its models, and with its global scopes */
    private $base;
    /** @var list<string> columns that no two rows have alike, without their table */
    private $unique;

    /**
     * @param EloquentBuilder|Relation|QueryBuilder $query
     * @param list<string> $uniqueBy columns that no two rows of the result have alike; not needed for models without joins
     * @return iterable<mixed>
     * @throws UsageException for a query whose order is not unique, or whose key is not known
     */
    public static function of($query, array $uniqueBy = []): iterable
    {
        if (!self::takes($query)) {
            throw new UsageException('Rows are read from a query of Eloquent or of the query builder, not from ' . (is_object($query) ? get_class($query) : gettype($query)) . '.');
        }
        $rows = new self($query instanceof Relation ? self::queryOf($query) : $query, $uniqueBy);
        return $rows->read();
    }

    /** The query of a relation, of which one through another table would have that table's columns in place of its own. */
    private static function queryOf(Relation $relation): EloquentBuilder
    {
        $query = clone $relation->getQuery();
        if ($query->toBase()->joins && in_array($query->toBase()->columns, [null, ['*']], true)) {
            $query->select($relation->getRelated()->getTable() . '.*');
        }
        return $query;
    }

    /**
     * Whether this is a query of the database.
     *
     * @param mixed $query
     */
    public static function takes($query): bool
    {
        return $query instanceof EloquentBuilder || $query instanceof QueryBuilder || $query instanceof Relation;
    }

    /**
     * @param EloquentBuilder|QueryBuilder $query
     * @param list<string> $uniqueBy
     */
    private function __construct($query, array $uniqueBy)
    {
        $this->query = clone $query;
        $this->base = $query instanceof EloquentBuilder ? $query->toBase() : $query;
        $this->unique = array_map([$this, 'bare'], $uniqueBy ?: $this->keyOfModel());
    }

    /** @return iterable<mixed> */
    private function read(): iterable
    {
        $orders = $this->base->unions ? (array) $this->base->unionOrders : (array) $this->base->orders;
        $ordered = array_map(function (array $order): string {
            return is_string($order['column'] ?? null) ? $this->bare($order['column']) : '';
        }, $orders);
        $missing = array_diff($this->unique, $ordered);
        if ($orders !== [] && $missing !== []) {
            $calls = implode('', array_map(static function (string $column): string { return "->orderBy('$column')"; }, $missing));
            throw new UsageException("The order of this query is not unique, so rows may come twice or not at all. Add $calls at its end, or say other columns that no two rows have alike.");
        }
        if ($this->isReadByKey($ordered)) {
            return $this->pages(($orders[0]['direction'] ?? 'asc') === 'desc');
        }
        foreach ($orders === [] ? $this->unique : [] as $column) {
            $this->query->orderBy($this->base->joins || $this->base->unions ? $column : $this->qualified($column));
        }
        return $this->oneStatement();
    }

    /** @return iterable<mixed> */
    private function oneStatement(): iterable
    {
        if (!$this->query instanceof EloquentBuilder || $this->query->getEagerLoads() === []) {
            return $this->query->cursor();
        }
        return $this->query->cursor()->chunk(self::PAGE_ROWS)->flatMap(function ($models): array {
            return $this->query->eagerLoadRelations($models->values()->all()); // which cursor() leaves out
        });
    }

    /** @return iterable<mixed> */
    private function pages(bool $descending): iterable
    {
        $key = $this->unique[0];
        $pages = $descending
            ? $this->query->lazyByIdDesc(self::PAGE_ROWS, $this->qualified($key), $key)
            : $this->query->lazyById(self::PAGE_ROWS, $this->qualified($key), $key);
        $isFirst = true;
        foreach ($pages as $row) {
            if ($row->{$key} === null) { // the next page would begin at the first row again
                throw new UsageException("The column $key is empty in a row, so it is no key.");
            }
            if (!self::isAsStored($row, $key)) { // the next page would begin behind what the model shows, wherever that is
                if (!$isFirst) {
                    throw new UsageException("The model shows the column $key of some rows otherwise than the database has it: order by another one.");
                }
                yield from $this->oneStatement();
                return;
            }
            $isFirst = false;
            yield $row;
        }
    }

    /**
     * Whether the key has no accessor and no cast that changes it: pages begin behind what a model shows.
     *
     * @param mixed $row
     */
    private static function isAsStored($row, string $key): bool
    {
        $shown = $row->{$key};
        if (!is_int($shown) && !is_string($shown)) {
            return false;
        }
        return !$row instanceof Model || (string) $shown === (string) $row->getRawOriginal($key);
    }

    /**
     * Whether pages by the key have each row once: pages replace limits and offsets, and their condition stands behind
     * the others with AND, which an OR before it would take to itself.
     *
     * @param list<string> $ordered
     */
    private function isReadByKey(array $ordered): bool
    {
        $base = $this->base;
        $isPlain = !$base->joins && !$base->unions && !$base->groups && !$base->havings && !$base->distinct
            && !$base->aggregate && $base->limit === null && $base->offset === null;
        foreach ($base->wheres as $where) {
            $isPlain = $isPlain && strncmp($where['boolean'], 'and', 3) === 0 && strtolower($where['type']) !== 'raw';
        }
        foreach ($base->columns ?? [] as $column) { // what is called like the key may be something else
            $isPlain = $isPlain && is_string($column) && stripos($column, ' as ') === false;
        }
        $selected = array_map(function ($column): string { return is_string($column) ? $this->bare($column) : ''; }, $base->columns ?? ['*']);
        return $isPlain && count($this->unique) === 1 && in_array($ordered, [[], $this->unique], true)
            && array_intersect($selected, ['*', $this->unique[0]]) !== [];
    }

    /** @return list<string> */
    private function keyOfModel(): array
    {
        if (!$this->query instanceof EloquentBuilder) {
            throw new UsageException('A query without a model does not say which columns no two rows have alike: name them, as in ["id"] (uniqueBy()).');
        }
        foreach (['joins', 'unions', 'groups', 'distinct'] as $clause) {
            if ($this->base->{$clause}) {
                throw new UsageException("With $clause the model's key may be in several rows: name the columns that no two rows have alike (uniqueBy()).");
            }
        }
        return [$this->query->getModel()->getKeyName()];
    }

    private function qualified(string $column): string
    {
        return is_string($this->base->from) ? preg_replace('/^.+ as /i', '', $this->base->from) . '.' . $column : $column;
    }

    /** The name of a column without the query's table; that of a joined table keeps it. */
    private function bare(string $column): string
    {
        $table = is_string($this->base->from) ? preg_replace('/^.+ as /i', '', $this->base->from) . '.' : '';
        return $table !== '' && strncmp($column, $table, strlen($table)) === 0 ? substr($column, strlen($table)) : $column;
    }
}
