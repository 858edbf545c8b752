<?php

declare(strict_types=1);

namespace Sluice\Laravel;

use Illuminate\Database\Eloquent\Builder as EloquentBuilder;
use Illuminate\Database\Eloquent\Relations\Relation;
use Illuminate\Database\Query\Builder as QueryBuilder;
use Sluice\Client;
use Sluice\Column;
use Sluice\Export;
use Sluice\ModelCells;
use Sluice\UsageException;

/** A query as a job of the queue: extend it, and dispatch it. See {@see PushJob} for what it does with errors. */
abstract class QueuedExport extends PushJob
{
    /** @var list<string>|null names of the columns, once a row was mapped */
    private $names;

    /** The ending is the format. */
    abstract public function filename(): string;

    /**
     * Says which rows are meant, such as `orders-2026-11`: what a run under the same key has finished is not sent again,
     * and jobs of this class with the same key are not queued twice.
     */
    abstract public function key(): string;

    /** @return array<int|string, mixed> as {@see Export::columns()} takes them */
    abstract public function columns(): array;

    /** @return EloquentBuilder|Relation|QueryBuilder made anew at each call, with an order that is unique, or none */
    abstract public function query();

    /** @return list<string> columns that no two rows of the query have alike; not needed for models without joins */
    public function uniqueBy(): array
    {
        return [];
    }

    /** @return array<string, mixed> as {@see Export::options()} takes them; `timezone` is that of the application where it is not here */
    public function options(): array
    {
        return [];
    }

    /**
     * The cells of one row, by place or by the name of the column.
     *
     * @param mixed $row a model, or an object of the query builder
     * @return array<int|string, mixed>
     */
    public function map($row): array
    {
        $cells = [];
        $this->names = $this->names ?? array_column(Column::listOf($this->columns()), 'name');
        $had = ModelCells::of($row, $this->names) ?? get_object_vars($row);
        foreach ($this->names as $name) {
            if (!array_key_exists($name, $had)) {
                throw new UsageException("The rows of this query have no \"$name\": select it, or say in map() what is in that column.");
            }
            $cells[] = $had[$name];
        }
        return $cells;
    }

    public function uniqueId(): string
    {
        return $this->key();
    }

    protected function describe(Client $sluice): Export
    {
        return $sluice->export($this->filename())->columns($this->columns())->options($this->options() + ['timezone' => date_default_timezone_get()])->key($this->key());
    }

    protected function send(Export $export): void
    {
        $export->write($this->mapped(OrderedRows::of($this->query(), $this->uniqueBy()))); // refused before anything is opened
    }

    /** @param iterable<mixed> $rows */
    private function mapped(iterable $rows): \Generator
    {
        foreach ($rows as $row) {
            yield $this->map($row);
        }
    }
}
