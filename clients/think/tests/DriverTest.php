<?php

declare(strict_types=1);

namespace Sluice\Think\Tests;

use PHPUnit\Framework\TestCase;
use Sluice\Client;
use Sluice\SourceChangedException;
use Sluice\Think\OrderedRows;
use Sluice\Think\SluiceService;
use Sluice\UsageException;
use think\App;

/** Against interfaces of our own writing, not the framework. */
final class DriverTest extends TestCase
{
    private const COLUMNS = ['id' => 'number', 'customer'];

    private function fake(): \Sluice\Testing\FakeClient
    {
        $sluice = Client::fake();
        (new App([]))->instance(Client::class, $sluice);
        return $sluice;
    }

    private function refusal(Query $query, array $columns = self::COLUMNS): string
    {
        try {
            export_to_sluice($query, 'refused.csv', $columns);
        } catch (UsageException $error) {
            return $error->getMessage();
        }
        self::fail('it was not refused');
    }

    public function testTheServiceMakesTheClientFromTheConfigurationOnce(): void
    {
        $app = new App(['url' => 'http://127.0.0.1:9', 'settings' => ['tries' => 2]]);
        (new SluiceService($app))->register();
        self::assertSame($app->make(Client::class), $app->make(Client::class));
        $app = new App(['settings' => ['tires' => 2]]);
        (new SluiceService($app))->register();
        $this->expectException(UsageException::class);
        $app->make(Client::class);
    }

    public function testAQueryIsSentInTheOrderOfItsKeyOrInItsOwn(): void
    {
        $sluice = $this->fake();
        $orders = [
            'key' => [null, [[1, 'b'], [2, 'a'], [3, 'a']]],
            'name, id' => [['customer', 'id desc'], [[3, 'a'], [2, 'a'], [1, 'b']]],
            'by name' => [['customer' => 'desc', 'orders.id' => 'asc'], [[1, 'b'], [2, 'a'], [3, 'a']]],
        ];
        foreach ($orders as $name => [$order, $rows]) {
            $query = new Query(orders(), $order === null ? [] : ['order' => $order]);
            export_to_sluice($query, "$name.csv", self::COLUMNS);
            self::assertEquals($rows, $sluice->rowsOf("$name.csv"), $name); // PDO gives texts before PHP 8.1
            self::assertSame($order, $query->getOptions('order'), 'the query itself stays as it is');
        }
    }

    public function testARunUnderItsKeyGoesOnAndOtherRowsAreNoticed(): void
    {
        $sluice = $this->fake();
        $sluice->export('a.csv')->columns(self::COLUMNS)->key('k')->open();
        export_to_sluice(new Query(orders()), 'a.csv', self::COLUMNS, 'k');
        self::assertCount(1, iterator_to_array($sluice->list()));
        $sluice->export('b.csv')->columns(self::COLUMNS)->key('l')->push([[9, 'z']]);
        $this->expectException(SourceChangedException::class);
        export_to_sluice(new Query(orders()), 'b.csv', self::COLUMNS, 'l');
    }

    public function testTheCellsOfAModelAreItsAttributesAndOneThatItHasNotIsNoEmptyCell(): void
    {
        self::assertSame([1, 'full'], OrderedRows::cellsOf(new Order(), ['id', 'full_name']));
        $this->expectException(UsageException::class);
        OrderedRows::cellsOf(new Order(), ['id', 'amount']);
    }

    public function testAQueryWithoutAUniqueOrderIsRefusedWithTheWayOut(): void
    {
        $sluice = $this->fake();
        self::assertStringContainsString("->order('id')", $this->refusal(new Query(orders(), ['order' => ['customer']])));
        self::assertStringContainsString("->order('id')", $this->refusal(new Query(orders(), ['order' => [new \stdClass()]])));
        self::assertStringContainsString('join', $this->refusal(new Query(orders(), ['join' => ['items']])));
        self::assertStringContainsString('no primary key', $this->refusal(new Query(orders(), [], null)));
        self::assertSame([], iterator_to_array($sluice->list()), 'nothing was opened');
        self::assertStringContainsString('"amount"', $this->refusal(new Query(orders()), ['id', 'amount']));
        $sluice->assertNothingExported();
        export_to_sluice(new Query(orders(), [], null), 'named.csv', self::COLUMNS, '', [], ['id']);
        self::assertEquals(1, $sluice->rowsOf('named.csv')[0][0]);
    }
}
