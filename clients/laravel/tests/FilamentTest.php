<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Filament\Actions\Exports\Downloaders\CsvDownloader;
use Filament\Actions\Exports\Downloaders\XlsxDownloader;
use Filament\Actions\Exports\Jobs\CreateXlsxFile;
use Filament\Actions\Exports\Models\Export;
use Illuminate\Support\Facades\Bus;
use Sluice\Laravel\Filament\PushExport;

require_once __DIR__ . '/filament_interfaces.php';
require_once __DIR__ . '/filament_exports.php';

/** Against interfaces of our own writing, not the package. */
final class FilamentTest extends TestCase
{
    private const COLUMNS = ['id' => 'No', 'customer' => 'Customer', 'amount' => 'Amount'];

    protected function setUp(): void
    {
        parent::setUp();
        makeExportTables();
    }

    private function export(): Export
    {
        return Export::create(['file_disk' => 'local', 'file_name' => 'orders', 'exporter' => OrderExporter::class, 'total_rows' => 2400]);
    }

    public function testTheJobSendsAllRowsInTheTablesOrderAndTheBatchEndsWithBothFiles(): void
    {
        $export = $this->export();
        $batch = Bus::batch([new PushExport($export, 'sortedOrders', self::COLUMNS)])->allowFailures()->dispatch();
        $this->work();
        self::assertTrue($batch->fresh()->finished());
        $rows = $this->sluice->rowsOf('orders.xlsx');
        self::assertSame([['1', '客户 1', '0.25'], ['3', '客户 3', '0.75'], 2500], [$rows[0], $rows[1], count($rows)]);
        self::assertSame([2500, 2500, 2500], array_values($export->fresh()->only(['total_rows', 'processed_rows', 'successful_rows'])));
        foreach ([XlsxDownloader::class, CsvDownloader::class] as $downloader) {
            $response = $this->app->make($downloader)($export);
            self::assertSame(302, $response->getStatusCode());
            self::assertStringStartsWith('http://sluice.invalid/v1/files/', $response->headers->get('Location'));
        }
    }

    public function testSelectedRecordsAloneAreSent(): void
    {
        $records = Order::whereKey(range(1, 1200))->get()->all();
        Bus::batch([new PushExport($this->export(), 'sortedOrders', self::COLUMNS, [], 100, $records)])->dispatch();
        $this->work();
        $ids = array_map('intval', array_column($this->sluice->rowsOf('orders.xlsx'), 0));
        sort($ids);
        self::assertSame(range(1, 1200), $ids);
    }

    public function testTheJobThatMakesWorkbooksOfFilesRunsForOtherExportsAlone(): void
    {
        $pushed = $this->export();
        dispatch(new PushExport($pushed, 'sortedOrders', self::COLUMNS));
        dispatch($this->app->make(CreateXlsxFile::class, ['export' => $pushed]));
        dispatch($this->app->make(CreateXlsxFile::class, ['export' => $this->export()]));
        array_map([$this, 'work'], [1, 2, 3]);
        self::assertSame(['completed orders.xlsx 2500', 'made a workbook of 2'], $this->events());
    }

    public function testTheFilesOfOtherExportsAreLeftToFilament(): void
    {
        $response = $this->app->make(CsvDownloader::class)($this->export());
        self::assertSame([200, CsvDownloader::class], [$response->getStatusCode(), $response->headers->get('X-Original')]);
    }
}
