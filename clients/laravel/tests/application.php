<?php

/**
 * A small real application of Laravel, made in a folder: configuration, SQLite, a queue in the database, a log.
 *
 * php application.php FOLDER COMMAND …    # what `php artisan COMMAND …` is elsewhere
 */

declare(strict_types=1);

namespace Sluice\Laravel\Tests;

use Illuminate\Contracts\Console\Kernel;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Foundation\Application;
use Illuminate\Support\Facades\Schema;

error_reporting(E_ALL & ~E_DEPRECATED); // Laravel 8 is older than PHP 8.2
require_once 'Illuminate/autoload.php';
require_once __DIR__ . '/../autoload.php';
require_once __DIR__ . '/exports.php';
spl_autoload_register(static function (string $class): void {
    $file = __DIR__ . '/' . substr($class, strlen(__NAMESPACE__) + 1) . '.php';
    if (strncmp($class, __NAMESPACE__ . '\\', strlen(__NAMESPACE__) + 1) === 0 && is_file($file)) {
        require $file;
    }
});

const CONFIG = [
    'app' => ['name' => 'tests', 'env' => 'testing', 'debug' => true, 'key' => 'base64:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'cipher' => 'AES-256-CBC', 'timezone' => 'UTC', 'locale' => 'en'],
    'database' => ['default' => 'sqlite', 'migrations' => 'migrations'],
    'queue' => ['default' => 'database', 'failed' => ['driver' => 'database-uuids', 'database' => 'sqlite', 'table' => 'failed_jobs']],
    'cache' => ['default' => 'file', 'prefix' => ''],
    'logging' => ['default' => 'single'],
];

function application(string $folder): Application
{
    if (!is_dir("$folder/config")) {
        make($folder);
    }
    $app = new Application($folder);
    $app->singleton(Kernel::class, \Illuminate\Foundation\Console\Kernel::class);
    $app->singleton(ExceptionHandler::class, \Illuminate\Foundation\Exceptions\Handler::class);
    $app->make(Kernel::class)->bootstrap();
    error_reporting(E_ALL & ~E_DEPRECATED);
    \Illuminate\Support\Facades\Event::listen(\Sluice\Laravel\Events\ExportCompleted::class, static function ($event) use ($folder): void {
        file_put_contents("$folder/events", "completed {$event->status->filename} {$event->status->rows}\n", FILE_APPEND);
    });
    return $app;
}

function make(string $folder): void
{
    foreach (['config', 'bootstrap/cache', 'storage/logs', 'storage/framework/cache/data', 'storage/app'] as $inner) {
        mkdir("$folder/$inner", 0777, true);
    }
    $config = CONFIG;
    $config['app']['providers'] = [
        \Illuminate\Bus\BusServiceProvider::class, \Illuminate\Cache\CacheServiceProvider::class,
        \Illuminate\Foundation\Providers\ConsoleSupportServiceProvider::class, \Illuminate\Database\DatabaseServiceProvider::class,
        \Illuminate\Encryption\EncryptionServiceProvider::class, \Illuminate\Filesystem\FilesystemServiceProvider::class,
        \Illuminate\Foundation\Providers\FoundationServiceProvider::class, \Illuminate\Queue\QueueServiceProvider::class,
        \Illuminate\Auth\AuthServiceProvider::class, \Sluice\Laravel\SluiceServiceProvider::class,
    ];
    $config['auth'] = ['defaults' => ['guard' => 'web'], 'guards' => [], 'providers' => []];
    $config['database']['connections']['sqlite'] = ['driver' => 'sqlite', 'database' => "$folder/database.sqlite", 'prefix' => ''];
    $config['queue']['connections'] = [
        'sync' => ['driver' => 'sync'],
        'database' => ['driver' => 'database', 'table' => 'jobs', 'queue' => 'default', 'retry_after' => 0], // a killed job comes back at once
    ];
    $config['cache']['stores'] = ['file' => ['driver' => 'file', 'path' => "$folder/storage/framework/cache/data"]];
    $config['filesystems'] = ['default' => 'local', 'disks' => ['local' => ['driver' => 'local', 'root' => "$folder/storage/app"]]];
    $config['logging']['channels'] = ['single' => ['driver' => 'single', 'path' => "$folder/storage/logs/laravel.log"]];
    foreach ($config as $name => $values) {
        file_put_contents("$folder/config/$name.php", '<?php return ' . var_export($values, true) . ';');
    }
    touch("$folder/database.sqlite");
}

function migrate(): void
{
    Schema::create('jobs', static function (Blueprint $table): void {
        $table->bigIncrements('id');
        $table->string('queue')->index();
        $table->longText('payload');
        $table->unsignedTinyInteger('attempts');
        $table->unsignedInteger('reserved_at')->nullable();
        $table->unsignedInteger('available_at');
        $table->unsignedInteger('created_at');
    });
    Schema::create('failed_jobs', static function (Blueprint $table): void {
        $table->id();
        $table->string('uuid')->unique();
        $table->text('connection');
        $table->text('queue');
        $table->longText('payload');
        $table->longText('exception');
        $table->timestamp('failed_at')->useCurrent();
    });
    Schema::create('orders', static function (Blueprint $table): void {
        $table->id();
        $table->string('customer');
        $table->decimal('amount')->nullable();
        $table->boolean('paid');
        $table->dateTime('at');
    });
    Schema::create('items', static function (Blueprint $table): void {
        $table->id();
        $table->unsignedBigInteger('order_id');
        $table->string('name');
    });
}

function addOrders(int $count): void
{
    $rows = [];
    for ($id = 1; $id <= $count; $id++) {
        $rows[] = ['id' => $id, 'customer' => "客户 $id", 'amount' => $id / 4, 'paid' => $id % 2, 'at' => '2026-11-30 08:00:00'];
        if (count($rows) === 1000 || $id === $count) {
            \Illuminate\Support\Facades\DB::table('orders')->insert($rows);
            $rows = [];
        }
    }
}

if (realpath($_SERVER['SCRIPT_FILENAME'] ?? '') === __FILE__) {
    $console = application($_SERVER['argv'][1])->make(Kernel::class);
    exit($console->handle(new \Symfony\Component\Console\Input\ArgvInput(array_slice($_SERVER['argv'], 1)), new \Symfony\Component\Console\Output\ConsoleOutput()));
}
