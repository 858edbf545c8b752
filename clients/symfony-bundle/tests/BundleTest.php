<?php

declare(strict_types=1);

namespace Sluice\Symfony\Tests;

use PHPUnit\Framework\TestCase;
use Sluice\Client;
use Sluice\Symfony\AwaitExport;
use Sluice\Symfony\PushExport;
use Sluice\Symfony\SluiceResponse;
use Sluice\Testing\FakeClient;
use Symfony\Component\Messenger\Stamp\DelayStamp;

final class BundleTest extends TestCase
{
    /** @var Kernel */
    private $kernel;

    private function boot(array $sluice = ['fake' => true, 'patience' => 0]): Client
    {
        $this->kernel = new Kernel($sluice);
        $this->kernel->boot();
        return $this->kernel->services()->get(Client::class);
    }

    protected function tearDown(): void
    {
        if ($this->kernel !== null) {
            $this->kernel->remove();
        }
        restore_exception_handler();
    }

    public function testTheClientIsAServiceMadeFromTheConfiguration(): void
    {
        self::assertSame(Client::class, get_class($this->boot(['url' => 'http://127.0.0.1:9', 'settings' => ['tries' => 2, 'in_flight' => 1]])));
        $this->kernel->remove();
        self::assertInstanceOf(FakeClient::class, $this->boot());
        $this->kernel->remove();
        $this->expectException(\Sluice\UsageException::class);
        $this->boot(['settings' => ['tires' => 2]]);
    }

    public function testTheFakeTakesAConfigurationOfVariablesOfTheEnvironmentThatAreNotSet(): void
    {
        self::assertInstanceOf(FakeClient::class, $this->boot(['url' => '%env(NO_SUCH_URL)%', 'key' => '%env(NO_SUCH_KEY)%', 'fake' => true]));
    }

    public function testAMessageSendsTheTableAndTheEventComesWithTheFile(): void
    {
        $sluice = $this->boot();
        $message = new PushExport(Orders::class, ['name' => 'orders', 'rows' => 1200]);
        $this->kernel->dispatch($message);
        $sluice->assertNothingExported();
        $this->kernel->consume(2);
        $sluice->assertExported('orders.csv', static function (array $rows): bool { return count($rows) === 1200 && $rows[0] === [1, '客户 1']; });
        self::assertCount(1, Listener::$heard);
        self::assertSame(['orders.csv', 1200], [Listener::$heard[0]->status->filename, Listener::$heard[0]->status->rows]);
        self::assertEquals($message, Listener::$heard[0]->pushed);
    }

    public function testAMessageThatComesAgainSendsNothingOfWhatIsDone(): void
    {
        $sluice = $this->boot();
        foreach ([1, 2] as $time) {
            $this->kernel->dispatch(new PushExport(Orders::class, ['name' => 'orders', 'rows' => 1200]));
        }
        $this->kernel->consume(4);
        self::assertCount(1, iterator_to_array($sluice->list()));
    }

    public function testRowsThatChangedSinceARunThatStoppedAreSentAnew(): void
    {
        $sluice = $this->boot();
        $arguments = ['name' => 'orders', 'rows' => 2];
        (new Orders())->describe($sluice, $arguments)->push([[1, 'as it was']]);
        $this->kernel->dispatch(new PushExport(Orders::class, $arguments));
        $this->kernel->consume(1);
        self::assertSame([[1, '客户 1'], [2, '客户 2']], $sluice->rowsOf('orders.csv'));
    }

    public function testAnExportThatIsNotReadyIsAwaitedByAnotherMessage(): void
    {
        $sluice = $this->boot();
        $id = $sluice->export('a.csv')->columns(['a'])->push([['1']])->id();
        $this->kernel->dispatch(new AwaitExport($id));
        $this->kernel->consume(1);
        $waiting = $this->kernel->waiting('async');
        self::assertEquals([new AwaitExport($id)], array_map(static function ($envelope) { return $envelope->getMessage(); }, $waiting));
        self::assertSame(5000, $waiting[0]->last(DelayStamp::class)->getDelay());
        self::assertSame([], Listener::$heard);
    }

    public function testAnErrorThatMayPassBringsTheMessageBackAndOneThatWillNotIsForTheFailureTransport(): void
    {
        $this->boot(['url' => 'http://127.0.0.1:1', 'settings' => ['tries' => 1]]);
        $this->kernel->dispatch(new PushExport(Orders::class, ['name' => 'orders', 'rows' => 1]));
        $this->kernel->consume(4); // more often than the transport's retries
        self::assertSame([1, 0], [count($this->kernel->waiting('async')), count($this->kernel->waiting('failed'))]);
        $this->kernel->remove();
        $sluice = $this->boot();
        foreach ([new PushExport(Orders::class, ['name' => 'orders', 'rows' => 9, 'bad' => 7]), new PushExport('No\\Such')] as $message) {
            $this->kernel->dispatch($message);
            $this->kernel->consume(1);
        }
        $sluice->assertNothingExported();
        self::assertSame([0, 2], [count($this->kernel->waiting('async')), count($this->kernel->waiting('failed'))]);
    }

    public function testAResponseLeadsToTheFileOnceItIsThere(): void
    {
        $sluice = $this->boot();
        $export = $sluice->export('a.csv')->columns(['a'])->push([['1']]);
        $early = SluiceResponse::of($sluice, $export->id());
        self::assertSame([202, '2', '{"state":"open","percent":0}'], [$early->getStatusCode(), $early->headers->get('Retry-After'), $early->getContent()]);
        $export->close();
        $response = SluiceResponse::of($sluice, $export->id());
        self::assertSame([302, $export->url()], [$response->getStatusCode(), $response->headers->get('Location')]);
        $export->delete();
        self::assertSame(410, SluiceResponse::of($sluice, $export->id())->getStatusCode());
    }
}
