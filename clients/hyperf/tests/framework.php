<?php

/**
 * What the driver and its page know of Hyperf 3, in our own words: configuration, a container that makes each thing once,
 * a job of its queue. Nothing here is the framework's code.
 */

declare(strict_types=1);

namespace Hyperf\Contract {
    interface ConfigInterface
    {
        public function get(string $key, $default = null);
    }
}

namespace Hyperf\Context {
    final class ApplicationContext
    {
        /** @var \Sluice\Hyperf\Tests\Container */
        private static $container;

        public static function getContainer(): \Sluice\Hyperf\Tests\Container
        {
            return self::$container;
        }

        public static function setContainer(\Sluice\Hyperf\Tests\Container $container): void
        {
            self::$container = $container;
        }
    }
}

namespace Hyperf\AsyncQueue {
    abstract class Job
    {
        abstract public function handle();
    }
}

namespace Sluice\Hyperf\Tests {
    use Hyperf\Contract\ConfigInterface;

    final class Config implements ConfigInterface
    {
        /** @var array<string, mixed> */
        private $sluice;

        public function __construct(array $sluice)
        {
            $this->sluice = $sluice;
        }

        public function get(string $key, $default = null)
        {
            return $key === 'sluice' ? $this->sluice : $default;
        }
    }

    final class Container
    {
        /** @var array<string, object> */
        private $made = [];
        /** @var ConfigInterface */
        private $config;

        public function __construct(ConfigInterface $config)
        {
            $this->config = $config;
            $this->made[ConfigInterface::class] = $config;
        }

        public function get(string $class): object
        {
            return $this->made[$class] = $this->made[$class] ?? new $class($this->config);
        }

        public function set(string $class, object $made): void
        {
            $this->made[$class] = $made;
        }
    }
}

namespace {
    require_once __DIR__ . '/../autoload.php';
}
