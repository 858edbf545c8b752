<?php

/** An exporter as an application writes it, as much of one as the driver asks, and the tables of exports and batches. */

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

final class OrderExporter
{
    /** @var array<string, string> */
    private $columnMap;

    public function __construct(array $columnMap)
    {
        $this->columnMap = $columnMap;
    }

    /** As Filament's: a text of every cell. */
    public function __invoke(Order $order): array
    {
        return array_map(static function (string $name) use ($order): string {
            return $name === 'price' ? "{$order->amount} EUR" : (string) $order->{$name};
        }, array_keys($this->columnMap));
    }

    public static function columnTypes(): array
    {
        return ['paid' => 'boolean'];
    }

    public function getCachedColumns(): array
    {
        return [];
    }

    public static function getCsvDelimiter(): string
    {
        return ';';
    }

    public function getJobConnection(): ?string
    {
        return null;
    }

    public function getJobQueue(): ?string
    {
        return null;
    }

    public function getJobTags(): array
    {
        return [];
    }
}

function sortedOrders()
{
    return Order::orderByDesc('paid');
}

function makeExportTables(): void
{
    Schema::create('exports', static function (Blueprint $table): void {
        $table->id();
        $table->string('file_disk');
        $table->string('file_name');
        $table->string('exporter');
        $table->unsignedInteger('total_rows');
        $table->unsignedInteger('processed_rows')->default(0);
        $table->unsignedInteger('successful_rows')->default(0);
        $table->timestamps();
    });
    Schema::create('job_batches', static function (Blueprint $table): void {
        $table->string('id')->primary();
        $table->string('name');
        $table->integer('total_jobs');
        $table->integer('pending_jobs');
        $table->integer('failed_jobs');
        $table->text('failed_job_ids');
        $table->mediumText('options')->nullable();
        $table->integer('cancelled_at')->nullable();
        $table->integer('created_at');
        $table->integer('finished_at')->nullable();
    });
}
