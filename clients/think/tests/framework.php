<?php

/**
 * What the driver knows of ThinkPHP 8 and ThinkORM 3, in our own words: a container, a service, a query that keeps its order.
 * Nothing here is the framework's code.
 */

declare(strict_types=1);

namespace think {
    final class App
    {
        /** @var App */
        public static $it;
        /** @var object with get() */
        public $config;
        /** @var array<string, mixed> */
        private $made = [];

        public function __construct(array $sluice)
        {
            self::$it = $this;
            $this->config = new class ($sluice) {
                private $sluice;

                public function __construct(array $sluice)
                {
                    $this->sluice = $sluice;
                }

                public function get(string $name, $default)
                {
                    return $name === 'sluice' ? $this->sluice : $default;
                }
            };
        }

        public function bind(string $class, \Closure $make): void
        {
            $this->made[$class] = $make;
        }

        public function instance(string $class, object $object): void
        {
            $this->made[$class] = $object;
        }

        public function make(string $class)
        {
            $made = $this->made[$class];
            return $this->made[$class] = $made instanceof \Closure ? $made() : $made;
        }
    }

    abstract class Service
    {
        protected $app;

        public function __construct(App $app)
        {
            $this->app = $app;
        }
    }
}

namespace Sluice\Think\Tests {
    /** A model, as much of one as the driver asks: what is stored, and attributes that have a getter. */
    final class Order
    {
        public function getData(): array
        {
            return ['id' => 1, 'customer' => 'b'];
        }

        public function getFullNameAttr(): string
        {
            return 'full';
        }

        public function getAttr(string $name)
        {
            return $name === 'full_name' ? $this->getFullNameAttr() : ($this->getData()[$name] ?? null);
        }
    }

    /** A query of the table orders (id, customer) in SQLite. */
    final class Query
    {
        /** @var \PDO */
        private $pdo;
        /** @var array<string, mixed> */
        private $options;
        /** @var string|list<string>|null */
        private $key;

        public function __construct(\PDO $pdo, array $options = [], $key = 'id')
        {
            $this->pdo = $pdo;
            $this->options = $options;
            $this->key = $key;
        }

        public function getPk()
        {
            return $this->key;
        }

        public function getOptions(string $name)
        {
            return $this->options[$name] ?? null;
        }

        public function order($field, string $direction = ''): self
        {
            $this->options['order'] = array_merge($this->options['order'] ?? [], is_array($field) ? $field : ($direction === '' ? [$field] : [$field => $direction]));
            return $this;
        }

        public function cursor(): \Generator
        {
            $order = [];
            foreach ($this->options['order'] ?? [] as $name => $direction) {
                $order[] = is_string($name) ? "$name $direction" : $direction;
            }
            yield from $this->pdo->query('SELECT id, customer FROM orders' . ($order === [] ? '' : ' ORDER BY ' . implode(', ', $order)), \PDO::FETCH_ASSOC);
        }
    }
}

namespace {
    require_once __DIR__ . '/../../php/sluice.php';

    function app(string $class)
    {
        return \think\App::$it->make($class);
    }

    require_once __DIR__ . '/../autoload.php';

    /** Three orders, put in by no order of their keys. */
    function orders(): \PDO
    {
        $pdo = new \PDO('sqlite::memory:');
        $pdo->exec("CREATE TABLE orders (id INTEGER, customer TEXT); INSERT INTO orders VALUES (3, 'a'), (1, 'b'), (2, 'a')");
        return $pdo;
    }
}
