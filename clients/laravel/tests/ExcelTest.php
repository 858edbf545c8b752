<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Storage;
use Maatwebsite\Excel\Concerns;
use Maatwebsite\Excel\Exporter;
use Sluice\Laravel\Excel\Exportable;
use Sluice\Laravel\Facades\Sluice;

require_once __DIR__ . '/excel_interfaces.php';
require_once __DIR__ . '/excel_exports.php';

/** In place of the object that the original's trait asks: remembers what it was asked. */
final class Original
{
    /** @var list<array<mixed>> */
    public $asked = [];

    public function __call(string $method, array $arguments)
    {
        $this->asked[] = [$method, get_class($arguments[0]), $arguments[1]];
        return true;
    }
}

/** Against interfaces of our own writing, not the package. */
final class ExcelTest extends TestCase
{
    public function testADownloadLeadsToAFileOfTheMappedRows(): void
    {
        $response = (new InvoicesExport())->download('invoices.xlsx');
        self::assertSame(302, $response->getStatusCode());
        self::assertSame([1, '客户 1', 0.25, '2026-11-30', true], $this->sluice->rowsOf('invoices.xlsx')[0]);
        self::assertCount(2500, $this->sluice->rowsOf('invoices.xlsx'));
    }

    public function testTheColumnsAreThoseOfHeadingsFormatsAndWidthsOrOfTheFirstRows(): void
    {
        $columns = (new \Sluice\Laravel\Excel\SheetMapping(new InvoicesExport()))->columns();
        self::assertSame([
            ['name' => 'No', 'type' => 'number'],
            ['name' => 'Customer', 'type' => 'string', 'width' => 21],
            ['name' => 'Amount', 'type' => 'number', 'format' => '#,##0.00'],
            ['name' => 'Day', 'type' => 'date', 'format' => 'dd/mm/yyyy'],
            ['name' => 'Paid', 'type' => 'boolean'],
        ], $columns);
    }

    public function testAStoredFileIsOnTheDisk(): void
    {
        self::assertTrue((new InvoicesExport())->store('reports/invoices.csv', 'local'));
        self::assertSame(2500, substr_count(Storage::disk('local')->get('reports/invoices.csv'), "\n"));
    }

    public function testAQueuedExportIsOneUniqueJobAndItsChainGoesOnWhenTheFileIsOnTheDisk(): void
    {
        (new InvoicesExport())->queue('invoices.xlsx')->chain([new SaysDone()]);
        (new InvoicesExport())->queue('invoices.xlsx');
        self::assertSame(1, DB::table('jobs')->count());
        $this->work();
        self::assertTrue(Storage::disk('local')->exists('invoices.xlsx'));
        self::assertSame(['completed invoices.xlsx 2500'], $this->events());
        $this->work();
        self::assertSame('chain went on', $this->events()[1]);
    }

    public function testEveryRowSourceIsTakenAndRowsOfOneItem(): void
    {
        DB::table('items')->insert([['order_id' => 1, 'name' => 'a'], ['order_id' => 2, 'name' => 'b']]);
        $sources = [
            'collection' => new class implements Concerns\FromCollection { use Exportable; public function collection() { return collect([[1, 'a'], ['x' => 2, 'y' => 'b']]); } },
            'array' => new class implements Concerns\FromArray { use Exportable; public function array(): array { return [[1, 'a'], (object) ['x' => 2, 'y' => 'b']]; } },
            'generator' => new class implements Concerns\FromGenerator { use Exportable; public function generator(): \Generator { yield [1, 'a']; yield [2, 'b']; } },
            'iterator' => new class implements Concerns\FromIterator { use Exportable; public function iterator(): \Iterator { return new \ArrayIterator([[1, 'a'], [2, 'b']]); } },
            'rows of one' => new class implements Concerns\FromArray, Concerns\WithMapping {
                use Exportable;
                public function array(): array { return [1]; }
                public function map($row): array { return [[$row, 'a'], [$row + 1, 'b']]; }
            },
            'no row of one' => new class implements Concerns\FromArray, Concerns\WithMapping {
                use Exportable;
                public function array(): array { return [1, 0, 2]; }
                public function map($row): array { return $row === 0 ? [] : [$row, $row === 1 ? 'a' : 'b']; }
            },
            'models' => new class implements Concerns\FromQuery {
                use Exportable;
                public function query() { return Item::query()->select(['order_id', 'name'])->orderBy('id'); }
            },
        ];
        foreach ($sources as $name => $export) {
            $export->download("$name.xlsx");
            self::assertSame([[1, 'a'], [2, 'b']], $this->sluice->rowsOf("$name.xlsx"), $name);
            self::assertSame("[1,\"a\"]\n[2,\"b\"]\n", $export->raw(), $name);
        }
    }

    public function testSeveralSheetsAreTables(): void
    {
        $shop = new class implements Concerns\WithMultipleSheets {
            use Exportable;
            public function sheets(): array { return [new InvoicesExport(), new InvoicesExport('Again')]; }
        };
        $shop->download('shop.xlsx');
        self::assertCount(5000, $this->sluice->rowsOf('shop.xlsx'));
        $this->app->instance(Exporter::class, $original = new Original());
        $shop->download('shop.csv');
        self::assertSame([['download', get_class($shop), 'shop.csv']], $original->asked);
    }

    public function testWhatCannotBeMappedIsLeftWholeToTheOriginalWithOneLineInTheLog(): void
    {
        $this->app->instance(Exporter::class, $original = new Original());
        $left = [
            'WithEvents' => [new class extends InvoicesExport implements Concerns\WithEvents { public function registerEvents(): array { return []; } }, 'a.xlsx'],
            'format ods' => [new InvoicesExport(), 'a.ods'],
            'several rows' => [new class extends InvoicesExport { public function headings(): array { return [['a'], ['b']]; } }, 'a.xlsx'],
            'A1:B3' => [new class extends InvoicesExport { public function columnFormats(): array { return ['A1:B3' => '0.00']; } }, 'a.xlsx'],
            'prepareRows' => [new class extends InvoicesExport { public function prepareRows($rows) { return $rows; } }, 'a.xlsx'],
            '2 sources' => [new class extends InvoicesExport implements Concerns\FromArray { public function array(): array { return []; } }, 'a.xlsx'],
            'none of the database' => [new class extends InvoicesExport { public function query() { return new \stdClass(); } }, 'a.xlsx'],
            'enclosure' => [new class extends InvoicesExport implements Concerns\WithCustomCsvSettings { public function getCsvSettings(): array { return ['enclosure' => "'"]; } }, 'a.csv'],
        ];
        foreach ($left as $why => [$export, $name]) {
            foreach (['download', 'store', 'queue'] as $call) {
                $original->asked = [];
                $export->{$call}($name);
                self::assertSame([[$call, get_class($export), $name]], $original->asked, $why);
            }
            self::assertSame(3, substr_count(file_get_contents(storage_path('logs/laravel.log')), $why));
        }
        Sluice::assertNothingExported();
        self::assertSame(0, DB::table('jobs')->count());
    }

    public function testNumbersOfDaysBecomeDaysAndSettingsOfCsvOptions(): void
    {
        $export = new class implements Concerns\FromArray, Concerns\WithColumnFormatting, Concerns\WithCustomCsvSettings {
            use Exportable;
            public function array(): array { return [[46356, 46356.75], [null, null]]; }
            public function columnFormats(): array { return ['A' => 'yyyy-mm-dd', 'B' => 'yyyy-mm-dd hh:mm']; }
            public function getCsvSettings(): array { return ['delimiter' => ';', 'use_bom' => false, 'line_ending' => "\n", 'output_encoding' => 'GBK']; }
        };
        $export->download('days.csv');
        self::assertSame([['2026-11-30', '2026-11-30T18:00:00'], [null, null]], $this->sluice->rowsOf('days.csv'));
    }

    public function testMomentsAreWhatTheClockOfTheApplicationShows(): void
    {
        $zone = date_default_timezone_get();
        date_default_timezone_set('Asia/Shanghai');
        try {
            $moment = new \DateTimeImmutable('2026-11-30 08:00:00');
            $sheet = new \Sluice\Laravel\Excel\SheetMapping(new class ($moment) implements Concerns\FromArray {
                private $moment;

                public function __construct(\DateTimeImmutable $moment)
                {
                    $this->moment = $moment;
                }

                public function array(): array
                {
                    return [[$this->moment, $this->moment->modify('+250 milliseconds')]];
                }
            });
            self::assertSame([['2026-11-30 08:00:00', '2026-11-30 08:00:00.250000']], iterator_to_array($sheet->rows(), false));
            self::assertSame(['datetime', 'datetime'], array_column($sheet->columns(), 'type'));
        } finally {
            date_default_timezone_set($zone);
        }
    }

    /** @return array<string, array{object, int, list<mixed>}> an export, its rows, and its first cells */
    public function sourcesThatAreReadOnce(): array
    {
        $iterator = static function (\Traversable $rows): object {
            return new class ($rows) implements Concerns\FromIterator {
                private $rows;

                public function __construct(\Traversable $rows)
                {
                    $this->rows = $rows;
                }

                public function iterator(): \Iterator
                {
                    return $this->rows;
                }
            };
        };
        $heap = new \SplMinHeap();
        foreach ([3, 1, 2] as $number) {
            $heap->insert([$number]);
        }
        $counts = new class () implements Concerns\FromArray, Concerns\WithMapping {
            private $no = 0;

            public function array(): array
            {
                return array_fill(0, 1500, ['x']);
            }

            public function map($row): array
            {
                return [++$this->no, $row[0]];
            }
        };
        $pages = new \NoRewindIterator(new \ArrayIterator(array_map(static function (int $n): array { return [$n]; }, range(1, 1500))));
        return ['a heap' => [$iterator($heap), 3, [1]], 'pages' => [$iterator($pages), 1500, [1]], 'a running number' => [$counts, 1500, [1, 'x']]];
    }

    /** @dataProvider sourcesThatAreReadOnce */
    public function testRowsAreReadAndMappedOnceThoughTheirTypesAreSeenFirst(object $export, int $count, array $first): void
    {
        $sheet = new \Sluice\Laravel\Excel\SheetMapping($export);
        self::assertSame('number', $sheet->columns()[0]['type']);
        $rows = iterator_to_array($sheet->rows(), false);
        self::assertCount($count, $rows);
        self::assertSame($first, $rows[0]);
        self::assertSame($count, end($rows)[0]);
    }

    public function testDurationsAndTimesOfDayAreNumbersOfTheirFormat(): void
    {
        $sheet = new \Sluice\Laravel\Excel\SheetMapping(new class () implements Concerns\FromArray, Concerns\WithColumnFormatting {
            public function array(): array
            {
                return [[2.75, 0.5, 45991.5]];
            }

            public function columnFormats(): array
            {
                return ['A' => '[h]:mm', 'B' => 'h:mm', 'C' => 'yyyy-mm-dd hh:mm'];
            }
        });
        self::assertSame([[2.75, 0.5, '2025-11-30T12:00:00']], iterator_to_array($sheet->rows(), false));
        self::assertSame(['number', 'number', 'datetime'], array_column($sheet->columns(), 'type'));
        self::assertSame(['[h]:mm', 'h:mm', 'yyyy-mm-dd hh:mm'], array_column($sheet->columns(), 'format'));
    }
}
