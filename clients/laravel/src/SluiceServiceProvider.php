<?php

declare(strict_types=1);

namespace Sluice\Laravel;

use Illuminate\Contracts\Foundation\Application;
use Illuminate\Support\ServiceProvider;
use Sluice\Client;

/** Gives the application one {@see Client}, made from `config/sluice.php` when it is first asked for. */
final class SluiceServiceProvider extends ServiceProvider
{
    private const FILAMENT = 'Filament\\Actions\\Exports\\';

    public function register(): void
    {
        $this->mergeConfigFrom(__DIR__ . '/../config/sluice.php', 'sluice');
        $this->app->singleton(Client::class, static function (Application $app): Client {
            $config = $app->make('config');
            $settings = (array) $config->get('sluice.settings') + ['logger' => $app->make('log')];
            return new Client((string) $config->get('sluice.url'), (string) $config->get('sluice.key'), $settings);
        });
    }

    public function boot(): void
    {
        $this->publishes([__DIR__ . '/../config/sluice.php' => $this->app->configPath('sluice.php')], 'sluice-config');
        $this->takePlaceInFilament();
    }

    /** Exports that {@see Filament\PushExport} sent have their files in the service; all others are as they were. */
    private function takePlaceInFilament(): void
    {
        foreach (['xlsx' => self::FILAMENT . 'Downloaders\XlsxDownloader', 'csv' => self::FILAMENT . 'Downloaders\CsvDownloader'] as $format => $class) {
            if (class_exists($class)) {
                $this->app->extend($class, static function (object $original) use ($format): Filament\LinkDownloader {
                    return new Filament\LinkDownloader($original, $format);
                });
            }
        }
        if (class_exists(self::FILAMENT . 'Jobs\CreateXlsxFile')) {
            $this->app->extend(self::FILAMENT . 'Jobs\CreateXlsxFile', static function (object $job): object {
                return $job->through([new Filament\SkipPushed()]);
            });
        }
    }
}
