<?php

declare(strict_types=1);

namespace Sluice\Laravel\Facades;

use Illuminate\Support\Facades\Facade;
use Sluice\Client;
use Sluice\Testing\FakeClient;

/**
 * The application's {@see Client}.
 *
 * @method static \Sluice\Export export(string $filename, string $format = '')
 * @method static \Sluice\Export find(string $taskId)
 * @method static \Generator list(string $state = '')
 * @method static list<array<int|string, mixed>> rowsOf(string $filename) of the fake
 * @method static void assertExported(string $filename, ?callable $check = null) of the fake
 * @method static void assertNothingExported() of the fake
 */
final class Sluice extends Facade
{
    /** From here on the application, its queued exports too, has a client that sends nothing and keeps the rows. */
    public static function fake(): FakeClient
    {
        $fake = Client::fake();
        self::swap($fake);
        return $fake;
    }

    protected static function getFacadeAccessor(): string
    {
        return Client::class;
    }
}
