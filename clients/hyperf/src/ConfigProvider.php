<?php

declare(strict_types=1);

namespace Sluice\Hyperf;

/** Tells Hyperf which file `php bin/hyperf.php vendor:publish sluice/hyperf` copies. */
final class ConfigProvider
{
    /** @return array<string, mixed> */
    public function __invoke(): array
    {
        return [
            'publish' => [[
                'id' => 'config',
                'description' => 'Where Sluice is, and its API key.',
                'source' => __DIR__ . '/../config/sluice.php',
                'destination' => (defined('BASE_PATH') ? BASE_PATH : '.') . '/config/autoload/sluice.php',
            ]],
        ];
    }
}
