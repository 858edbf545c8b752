<?php

/**
 * Loads the classes Export\* without Composer: `require 'clients/php-export/autoload.php';`.
 *
 * Messages need ext-protobuf, or the package google/protobuf: from Composer, or on the include path
 * (Debian's php-google-protobuf).
 */

declare(strict_types=1);

require __DIR__ . '/src/grpc.php';

spl_autoload_register(static function (string $class): void {
    $path = strtr($class, '\\', '/') . '.php';
    foreach (['Export\\' => __DIR__ . '/src/', 'GPBMetadata\\Export' => __DIR__ . '/src/'] as $prefix => $folder) {
        if (strncmp($class, $prefix, strlen($prefix)) === 0 && is_file($folder . $path)) {
            require $folder . $path;
            return;
        }
    }
    if (strncmp($class, 'Google\\Protobuf\\', 16) === 0 || strncmp($class, 'GPBMetadata\\Google\\', 19) === 0) {
        foreach (explode(PATH_SEPARATOR, get_include_path() . PATH_SEPARATOR . '/usr/share/php') as $folder) {
            if (is_file("$folder/$path")) {
                require "$folder/$path";
                return;
            }
        }
    }
});
