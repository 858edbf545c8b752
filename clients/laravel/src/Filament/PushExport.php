<?php

declare(strict_types=1);

namespace Sluice\Laravel\Filament;

use AnourValar\EloquentSerialize\Facades\EloquentSerializeFacade;
use Filament\Actions\Exports\Models\Export as FilamentExport;
use Illuminate\Bus\Batchable;
use Illuminate\Queue\SerializesModels;
use Sluice\Client;
use Sluice\Export;
use Sluice\Laravel\OrderedRows;
use Sluice\Laravel\PushJob;
use Sluice\Laravel\SampledRows;
use Sluice\Status;

/**
 * The job of an export action of Filament 3: `ExportAction::make()->exporter(…)->job(PushExport::class)`.
 *
 * It sends all rows in one pass, in the order of the table. Exporters make a text of every cell; a column is one of
 * numbers or of moments where the first records have such values and the exporter left them as they are, or where its
 * static `columnTypes()` says so. When the job ends, both files are there: Filament's notification comes after them.
 */
final class PushExport extends PushJob
{
    use Batchable;
    use SerializesModels;

    private const KEYS_OF_ONE_QUERY = 500; // databases bound the parameters of a statement

    /** @var SampledRows|null of a run, whose first rows were read for the types of the columns */
    private $begun;
    /** @var bool */
    public $deleteWhenMissingModels = true;
    /** @var FilamentExport */
    protected $export;
    /** @var string */
    protected $query;
    /** @var array<string, string> labels by the name of the column */
    protected $columnMap;
    /** @var array<string, mixed> */
    protected $options;
    /** @var list<mixed>|null keys of the records that were selected; null: all */
    protected $records;

    /**
     * As Filament makes its own job of this place.
     *
     * @param array<string, string> $columnMap
     * @param array<string, mixed> $options
     * @param list<mixed>|null $records
     */
    public function __construct(FilamentExport $export, string $query, array $columnMap, array $options = [], int $chunkSize = 100, ?array $records = null)
    {
        $this->export = $export;
        $this->query = $query;
        $this->columnMap = $columnMap;
        $this->options = $options;
        $this->records = $records === null ? null : array_map(static function ($record) {
            return is_object($record) ? $record->getKey() : $record;
        }, array_values($records));
        $exporter = $export->getExporter($columnMap, $options);
        $this->onConnection($exporter->getJobConnection() ?: null);
        $this->onQueue($exporter->getJobQueue() ?: null);
    }

    public function uniqueId(): string
    {
        return (string) $this->export->getKey();
    }

    /** @return list<string> */
    public function tags(): array
    {
        return $this->exporter()->getJobTags();
    }

    protected function describe(Client $sluice): Export
    {
        if ($this->export->user !== null) {
            auth()->setUser($this->export->user); // formatters may ask who the file is for
        }
        $said = method_exists($this->export->exporter, 'columnTypes') ? $this->export->exporter::columnTypes() : [];
        $this->begun = new SampledRows($this->rows());
        $sampled = $this->begun->types(function (array $row): array { return $this->natural(...$row); });
        $columns = [];
        foreach (array_keys($this->columnMap) as $place => $name) {
            $type = $said[$name] ?? $sampled[$place] ?? 'string';
            $columns[] = ['name' => $this->columnMap[$name], 'type' => $type];
        }
        return $sluice->export("{$this->export->file_name}.xlsx")->columns($columns)
            ->options(['on_invalid' => 'text', 'csv_delimiter' => $this->exporter()->getCsvDelimiter()])
            ->key('filament-export-' . $this->export->getKey() . '-' . optional($this->export->created_at)->getTimestamp());
    }

    protected function send(Export $export): void
    {
        $begun = $this->begun ?? new SampledRows($this->rows());
        $this->begun = null;
        $export->write((static function () use ($begun): \Generator {
            foreach ($begun->rows() as [$cells]) {
                yield $cells;
            }
        })());
    }

    protected function completed(Export $export, Status $status): void
    {
        $ids = PushedFiles::of($this->export);
        if (($ids['xlsx'] ?? null) !== $status->taskId) {
            $ids = ['xlsx' => $status->taskId, 'csv' => $export->renderAs('csv', null, "{$this->export->file_name}.csv")->id()];
            PushedFiles::keep($this->export, $ids);
        }
        // Counted when the action was called; the file has what was there when it was read.
        $this->export->forceFill(array_fill_keys(['total_rows', 'processed_rows', 'successful_rows'], $status->rows))->save();
    }

    /**
     * The cells of a record before the exporter made texts of them, where the text says no more.
     *
     * @param list<mixed> $cells
     * @return list<mixed>
     */
    private function natural(array $cells, object $record): array
    {
        foreach (array_keys($this->columnMap) as $place => $name) {
            $value = data_get($record, $name);
            $text = $cells[$place] ?? null;
            if ($value instanceof \DateTimeInterface) {
                $cells[$place] = $text === $value->format('Y-m-d H:i:s') ? $value : $text;
            } elseif ((is_int($value) || is_float($value)) && $text === (string) $value) {
                $cells[$place] = $value;
            }
        }
        return $cells;
    }

    /** @return \Generator<int, array{list<mixed>, object}> the cells of each record, and the record */
    private function rows(): \Generator
    {
        $exporter = $this->exporter();
        $query = EloquentSerializeFacade::unserialize($this->query);
        foreach ($exporter->getCachedColumns() as $column) {
            $column->applyRelationshipAggregates($query);
            $column->applyEagerLoading($query);
        }
        if ($query->getQuery()->orders) { // the table's order, made unique
            $query->orderBy($query->getModel()->getQualifiedKeyName());
        }
        foreach ($this->records === null ? [null] : array_chunk($this->records, self::KEYS_OF_ONE_QUERY) as $keys) {
            $part = $keys === null ? $query : (clone $query)->whereKey($keys);
            foreach (OrderedRows::of($part, $query->getQuery()->joins ? [$query->getModel()->getQualifiedKeyName()] : []) as $record) {
                yield [array_values($exporter($record)), $record];
            }
        }
    }

    private function exporter()
    {
        return $this->export->getExporter($this->columnMap, $this->options);
    }
}
