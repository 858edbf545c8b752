<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Support\Facades\DB;
use PHPUnit\Framework\TestCase;
use Sluice\Laravel\OrderedRows;
use Sluice\UsageException;

/** Over 2,500 orders, so that pages by the key have three. Whatever the query, rows come once and in order. */
final class OrderedRowsTest extends TestCase
{
    /** @var string */
    private static $folder;

    public static function setUpBeforeClass(): void
    {
        self::$folder = sys_get_temp_dir() . '/sluice-laravel-' . bin2hex(random_bytes(6));
        application(self::$folder);
        migrate();
        addOrders(2500);
        \Illuminate\Support\Facades\Schema::create('links', static function ($table): void {
            $table->id();
            $table->unsignedBigInteger('order_id');
            $table->unsignedBigInteger('item_id');
        });
        DB::table('links')->insert([['id' => 901, 'order_id' => 2, 'item_id' => 1], ['id' => 902, 'order_id' => 2, 'item_id' => 2]]);
        DB::table('items')->insert([['order_id' => 2, 'name' => 'a'], ['order_id' => 2, 'name' => 'b'], ['order_id' => 1, 'name' => 'c']]);
    }

    public static function tearDownAfterClass(): void
    {
        (new \Illuminate\Filesystem\Filesystem())->deleteDirectory(self::$folder);
    }

    private function idsOf($query, array $uniqueBy = []): array
    {
        DB::enableQueryLog();
        DB::flushQueryLog();
        $ids = [];
        foreach (OrderedRows::of($query, $uniqueBy) as $row) {
            $ids[] = (int) $row->id;
        }
        return $ids;
    }

    public function testAPlainQueryIsReadInPagesByItsKey(): void
    {
        self::assertSame(range(1, 2500), $this->idsOf(Order::query()));
        self::assertCount(3, DB::getQueryLog());
        self::assertSame(range(2500, 1), $this->idsOf(Order::orderByDesc('id')));
        self::assertSame(range(2500, 1), $this->idsOf(Order::query()->orderBy('orders.id', 'desc')));
        self::assertSame(range(1, 2500), $this->idsOf(DB::table('orders'), ['id']));
        self::assertCount(3, DB::getQueryLog());
    }

    /** Laravel's own pages would take the condition of the page to the OR, and give rows for ever. */
    public function testQueriesThatPagesWouldDoubleOrCutAreReadInOneStatement(): void
    {
        $queries = [
            'OR' => [Order::where('id', '<=', 1500)->orWhere('id', '>', 1400), range(1, 2500)],
            'raw OR' => [Order::whereRaw('id <= 1500 or id > 1400'), range(1, 2500)],
            'limit' => [Order::limit(1700), range(1, 1700)],
            'offset' => [Order::limit(1700)->offset(5)->orderBy('id'), range(6, 1705)],
            'another order' => [Order::orderByDesc('paid')->orderBy('id'), array_merge(range(1, 2499, 2), range(2, 2500, 2))],
            'a raw order' => [Order::orderByRaw('paid desc')->orderBy('id'), array_merge(range(1, 2499, 2), range(2, 2500, 2))],
        ];
        foreach ($queries as $what => [$query, $ids]) {
            self::assertSame($ids, $this->idsOf($query), $what);
            self::assertCount(1, DB::getQueryLog(), $what);
        }
    }

    public function testARelationIsReadAsItsQuery(): void
    {
        self::assertSame([1, 2], $this->idsOf(Order::find(2)->items()));
    }

    /** The other table has an id too, and PDO keeps the last of two. */
    public function testARelationThroughAnotherTableHasItsOwnColumns(): void
    {
        self::assertSame([1, 2], $this->idsOf(Order::find(2)->itemsByLink(), ['items.id']));
    }

    public function testAJoinIsReadByColumnsThatAreNamed(): void
    {
        $joined = Order::join('items', 'items.order_id', '=', 'orders.id')->select(['orders.id', 'items.name', 'items.id as item']);
        self::assertSame([2, 2, 1], $this->idsOf($joined, ['items.id']));
        $this->expectException(UsageException::class);
        $this->expectExceptionMessage('joins');
        $this->idsOf($joined);
    }

    public function testAQueryWithoutAUniqueOrderIsRefusedWithTheWayOut(): void
    {
        $refused = [
            "->orderBy('id')" => [Order::orderBy('customer'), []],
            '["id"]' => [DB::table('orders'), []],
            'The order' => [Order::inRandomOrder(), []],
            'unions' => [Order::where('id', 1)->union(Order::where('id', 2)), []],
        ];
        foreach ($refused as $said => [$query, $uniqueBy]) {
            try {
                $this->idsOf($query, $uniqueBy);
                self::fail("$said was not refused");
            } catch (UsageException $error) {
                self::assertStringContainsString($said, $error->getMessage());
            }
        }
    }

    public function testAKeyThatIsEmptyInSomeRowIsNone(): void
    {
        DB::table('orders')->where('id', 7)->update(['amount' => null]);
        $this->expectException(UsageException::class);
        $this->idsOf(DB::table('orders'), ['amount']);
    }

    /** Pages begin behind what a model shows: behind `ORD-001000`, which is no id, there is nothing or everything. */
    public function testAKeyThatTheModelShowsOtherwiseIsReadInOneStatement(): void
    {
        $ids = [];
        foreach (OrderedRows::of(NumberedOrder::query()) as $row) {
            $ids[] = $row->id;
            self::assertLessThanOrEqual(2500, count($ids));
        }
        self::assertSame(array_map(static function (int $id): string { return sprintf('ORD-%06d', $id); }, range(1, 2500)), $ids);
    }

    public function testWhatIsOnlyCalledLikeTheKeyIsNoKey(): void
    {
        $query = DB::table('orders')->select('*')->selectRaw('id % 7 as id');
        self::assertCount(2500, $this->idsOf($query, ['id']));
    }

    public function testAKeyThatSomeRowsShowOtherwiseIsAnErrorAndNoEndlessRun(): void
    {
        $this->expectException(UsageException::class);
        $this->expectExceptionMessage('otherwise than the database has it');
        iterator_to_array((function () { yield from OrderedRows::of(OddOrder::query()); })(), false);
    }
}

class NumberedOrder extends \Illuminate\Database\Eloquent\Model
{
    protected $table = 'orders';

    public function getIdAttribute($id): string
    {
        return sprintf('ORD-%06d', $id);
    }
}

class OddOrder extends \Illuminate\Database\Eloquent\Model
{
    protected $table = 'orders';

    public function getIdAttribute($id)
    {
        return $id < 1200 ? $id : "0$id";
    }
}
