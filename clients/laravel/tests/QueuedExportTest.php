<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Support\Carbon;
use Illuminate\Support\Facades\DB;
use Sluice\BusyException;
use Sluice\Client;
use Sluice\Laravel\Facades\Sluice;
use Sluice\Laravel\SluiceResponse;
use Sluice\UsageException;

final class QueuedExportTest extends TestCase
{
    protected function tearDown(): void
    {
        Carbon::setTestNow();
        parent::tearDown();
    }

    public function testTheClientIsMadeFromTheConfigurationOnce(): void
    {
        $this->app->forgetInstance(Client::class);
        $client = $this->app->make(Client::class);
        self::assertSame(Client::class, get_class($client));
        self::assertSame($client, $this->app->make(Client::class));
        self::assertSame('http://127.0.0.1:9091', config('sluice.url'));
        config(['sluice.settings' => ['tires' => 2]]);
        $this->app->forgetInstance(Client::class);
        $this->expectException(UsageException::class);
        $this->app->make(Client::class);
    }

    public function testAJobSendsItsQueryFiresAnEventAndTheChainGoesOn(): void
    {
        OrdersExport::dispatch()->chain([new SaysDone()]);
        $this->work();
        self::assertSame(['completed orders.csv 2500'], $this->events());
        $this->work();
        self::assertSame(['completed orders.csv 2500', 'chain went on'], $this->events());
        Sluice::assertExported('orders.csv', static function (array $rows): bool {
            return count($rows) === 2500 && $rows[3] === [4, '客户 4', 1, false, '2026-11-30T08:00:00.000000+00:00'];
        });
        self::assertSame(0, DB::table('jobs')->count() + DB::table('failed_jobs')->count());
    }

    public function testAJobWithTheSameKeyIsQueuedOnceUntilItIsDone(): void
    {
        OrdersExport::dispatch();
        OrdersExport::dispatch();
        OrdersExport::dispatch('others');
        self::assertSame(2, DB::table('jobs')->count());
        $this->work();
        $this->work();
        OrdersExport::dispatch();
        self::assertSame(1, DB::table('jobs')->count());
    }

    public function testAnErrorThatMayPassBringsTheJobBackLaterAndOneThatWillNotFailsIt(): void
    {
        Carbon::setTestNow('2026-11-30 08:00:00');
        $this->app->instance(Client::class, new RefusedClient([[429, 'QUEUE_FULL', 70], [429, 'QUEUE_FULL', 0], [400, 'TOO_MANY_COLUMNS', 0]]));
        OrdersExport::dispatch()->chain([new SaysDone()]);
        foreach ([70, 10] as $pause) {
            $this->work();
            $job = DB::table('jobs')->first();
            self::assertSame(Carbon::now()->getTimestamp() + $pause, (int) $job->available_at);
            $this->work();
            self::assertSame($job->id, DB::table('jobs')->first()->id, 'it waits for its time');
            Carbon::setTestNow(Carbon::now()->addSeconds($pause));
        }
        $this->work();
        self::assertSame(0, DB::table('jobs')->count());
        self::assertStringContainsString('TOO_MANY_COLUMNS', DB::table('failed_jobs')->value('exception'));
        self::assertSame([], $this->events());
    }

    public function testAJobGivesUpWhenItsTimeIsOver(): void
    {
        Carbon::setTestNow('2026-11-30 08:00:00');
        $this->app->instance(Client::class, new RefusedClient([[429, 'QUEUE_FULL', 0]]));
        OrdersExport::dispatch();
        $this->work();
        Carbon::setTestNow('2026-12-01 08:00:01');
        $this->work();
        self::assertSame([0, 1], [DB::table('jobs')->count(), DB::table('failed_jobs')->count()]);
    }

    public function testWhereNothingRunsItAgainAnErrorIsThrown(): void
    {
        $this->app->instance(Client::class, new RefusedClient([[429, 'QUEUE_FULL', 0]]));
        $this->expectException(BusyException::class);
        OrdersExport::dispatchSync();
    }

    public function testRowsThatChangedSinceARunThatStoppedAreSentAnew(): void
    {
        $this->sluice->export('orders.csv')->columns((new OrdersExport())->columns())->key('orders')->push([[1, 'as it was', 0, true, null]]);
        OrdersExport::dispatchSync();
        self::assertCount(2500, $this->sluice->rowsOf('orders.csv'));
    }

    public function testAQueryWithoutAUniqueOrderFailsTheJob(): void
    {
        UnorderedExport::dispatch();
        $this->work();
        self::assertStringContainsString("->orderBy('id')", DB::table('failed_jobs')->value('exception'));
        self::assertSame([], iterator_to_array($this->sluice->list()), 'nothing was opened');
    }

    public function testAColumnThatTheQueryDoesNotSelectIsNoEmptyColumn(): void
    {
        $this->expectException(UsageException::class);
        $this->expectExceptionMessage('"customer"');
        (new OrdersExport())->map(Order::select('id')->first());
    }

    public function testAResponseLeadsToTheFileOnceItIsThere(): void
    {
        $export = $this->sluice->export('a.csv')->columns(['a'])->push([['1']]);
        $early = (new SluiceResponse($export->id()))->toResponse(null);
        self::assertSame([202, '2', 'open'], [$early->getStatusCode(), $early->headers->get('Retry-After'), $early->getData(true)['state']]);
        $export->close();
        $response = (new SluiceResponse($export->id()))->toResponse(null);
        self::assertSame([302, $export->url()], [$response->getStatusCode(), $response->getTargetUrl()]);
        self::assertTrue($response->headers->hasCacheControlDirective('no-store'));
        $export->delete();
        self::assertSame(410, (new SluiceResponse($export->id()))->toResponse(null)->getStatusCode());
    }
}
