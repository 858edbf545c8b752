<?php

declare(strict_types=1);

namespace Sluice\Hyperf\Tests;

use PHPUnit\Framework\TestCase;
use Sluice\Client;
use Sluice\Hyperf\Clients;
use Sluice\Hyperf\ConfigProvider;
use Sluice\UsageException;

/** Against interfaces of our own writing, not the framework. */
final class DriverTest extends TestCase
{
    public function testEachCoroutineHasAClientOfItsOwnThoughTheContainerMakesEachThingOnce(): void
    {
        $container = new Container(new Config(['url' => 'http://127.0.0.1:9']));
        $clients = $container->get(Clients::class);
        self::assertSame($clients, $container->get(Clients::class));
        self::assertNotSame($clients->make(), $clients->make());
    }

    public function testTheConfigurationIsTheClients(): void
    {
        self::assertInstanceOf(Client::class, (new Clients(new Config([])))->make());
        $this->expectException(UsageException::class);
        (new Clients(new Config(['settings' => ['tires' => 2]])))->make();
    }

    public function testThePublishedFileIsThere(): void
    {
        $published = (new ConfigProvider())()['publish'];
        self::assertCount(1, $published);
        self::assertFileExists($published[0]['source']);
        self::assertStringEndsWith('/config/autoload/sluice.php', $published[0]['destination']);
    }
}
