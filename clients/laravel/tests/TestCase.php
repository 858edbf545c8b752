<?php

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Container\Container;
use Illuminate\Filesystem\Filesystem;
use Illuminate\Foundation\Application;
use Sluice\Laravel\Facades\Sluice;
use Sluice\Testing\FakeClient;

/** An application of its own for each test, with 2,500 orders and a client that sends nothing. */
abstract class TestCase extends \PHPUnit\Framework\TestCase
{
    /** @var Application */
    protected $app;
    /** @var FakeClient */
    protected $sluice;

    protected function setUp(): void
    {
        $this->app = application(sys_get_temp_dir() . '/sluice-laravel-' . bin2hex(random_bytes(6)));
        migrate();
        addOrders(2500);
        $this->sluice = Sluice::fake();
    }

    protected function tearDown(): void
    {
        (new Filesystem())->deleteDirectory($this->app->basePath());
        restore_error_handler(); // the framework's own
        restore_exception_handler();
        Container::setInstance(null);
    }

    /** What a worker does with the next job. */
    protected function work(): void
    {
        $this->app->make(\Illuminate\Contracts\Console\Kernel::class)->call('queue:work', ['--once' => true, '--sleep' => 0, '--quiet' => true]);
    }

    protected function events(): array
    {
        $file = $this->app->basePath('events');
        return is_file($file) ? file($file, FILE_IGNORE_NEW_LINES) : [];
    }
}
