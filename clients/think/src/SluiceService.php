<?php

declare(strict_types=1);

namespace Sluice\Think;

use Sluice\Client;
use think\Service;

/** Gives the application one {@see Client}, made from `config/sluice.php` when it is first asked for. */
final class SluiceService extends Service
{
    public function register(): void
    {
        $app = $this->app;
        $app->bind(Client::class, static function () use ($app): Client {
            $config = (array) $app->config->get('sluice', []) + ['url' => 'http://127.0.0.1:9091', 'key' => '', 'settings' => []];
            return new Client((string) $config['url'], (string) $config['key'], (array) $config['settings']);
        });
    }
}
