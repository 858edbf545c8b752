<?php

/** Loads the driver and the client without Composer, for their tests; the framework loads itself. */

declare(strict_types=1);

require_once __DIR__ . '/../php/sluice.php';

spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'Sluice\\Hyperf\\', 14) === 0) {
        $file = __DIR__ . '/src/' . strtr(substr($class, 14), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
}, true, true);

