<?php

/** A small real application of Symfony: the framework, this bundle, and Messenger with a transport in memory. */

declare(strict_types=1);

namespace Sluice\Symfony\Tests;

use Sluice\Client;
use Sluice\Export;
use Sluice\Symfony\ExportCompleted;
use Sluice\Symfony\ExportSource;
use Sluice\Symfony\SluiceBundle;
use Symfony\Bundle\FrameworkBundle\Console\Application;
use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Component\Config\Loader\LoaderInterface;
use Symfony\Component\Console\Input\ArrayInput;
use Symfony\Component\Console\Output\BufferedOutput;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\Filesystem\Filesystem;

error_reporting(E_ALL & ~E_DEPRECATED); // Symfony 5.4 is older than PHP 8.2
require_once 'Symfony/Bundle/FrameworkBundle/autoload.php';
require_once 'Symfony/Component/Messenger/autoload.php';
require_once __DIR__ . '/../autoload.php';

final class Orders implements ExportSource
{
    /** @var int how often the rows were read */
    public static $reads = 0;

    public function describe(Client $sluice, array $arguments): Export
    {
        return $sluice->export("{$arguments['name']}.csv")->columns(['id' => 'number', 'customer'])->key($arguments['name']);
    }

    public function rows(array $arguments): iterable
    {
        self::$reads++;
        for ($id = 1; $id <= $arguments['rows']; $id++) {
            yield [$id, ($arguments['bad'] ?? 0) === $id ? "\xff" : "客户 $id"];
        }
    }
}

final class Listener
{
    /** @var list<ExportCompleted> */
    public static $heard = [];

    public function __invoke(ExportCompleted $event): void
    {
        self::$heard[] = $event;
    }
}

final class Kernel extends \Symfony\Component\HttpKernel\Kernel
{
    /** @var string */
    private $folder;
    /** @var array<string, mixed> */
    private $sluice;
    /** @var list<class-string> services of the application */
    private $more;

    public function __construct(array $sluice, array $services = [])
    {
        $this->folder = sys_get_temp_dir() . '/sluice-symfony-' . bin2hex(random_bytes(6));
        $this->sluice = $sluice;
        $this->more = $services;
        Orders::$reads = 0;
        Listener::$heard = [];
        parent::__construct('test', false);
    }

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new SluiceBundle()];
    }

    public function registerContainerConfiguration(LoaderInterface $loader): void
    {
        $loader->load(function (ContainerBuilder $container): void {
            $container->loadFromExtension('framework', [
                'secret' => 'x', 'test' => true, 'http_method_override' => false,
                'messenger' => [
                    'failure_transport' => 'failed',
                    'transports' => [
                        'async' => ['dsn' => 'in-memory://', 'retry_strategy' => ['delay' => 0]],
                        'failed' => 'in-memory://',
                    ],
                    'routing' => ['Sluice\Symfony\PushExport' => 'async', 'Sluice\Symfony\AwaitExport' => 'async'],
                ],
            ]);
            $container->loadFromExtension('sluice', $this->sluice);
            $container->register('logger', \Psr\Log\NullLogger::class);
            foreach ([Orders::class, ...$this->more] as $class) {
                $container->register($class, $class)->setAutoconfigured(true)->setAutowired(true);
                foreach (class_parents($class) as $parent) {
                    $container->setAlias($parent, $class);
                }
            }
            $container->register(Listener::class, Listener::class)->addTag('kernel.event_listener', ['event' => ExportCompleted::class]);
        });
    }

    public function getProjectDir(): string
    {
        return $this->folder;
    }

    public function getCacheDir(): string
    {
        return "{$this->folder}/cache";
    }

    public function getLogDir(): string
    {
        return "{$this->folder}/log";
    }

    public function remove(): void
    {
        $this->shutdown();
        (new Filesystem())->remove($this->folder);
    }

    /** What `messenger:consume async` does with so many messages. */
    public function consume(int $messages): void
    {
        $application = new Application($this);
        $application->setAutoExit(false);
        $application->setCatchExceptions(false);
        $application->run(new ArrayInput(['command' => 'messenger:consume', 'receivers' => ['async'], '--limit' => $messages, '--time-limit' => 60]), new BufferedOutput());
    }

    /** @return list<\Symfony\Component\Messenger\Envelope> */
    public function waiting(string $transport): array
    {
        return array_values([...$this->services()->get("messenger.transport.$transport")->get()]);
    }

    public function dispatch(object $message): void
    {
        $this->services()->get('messenger.default_bus')->dispatch($message);
    }

    public function services()
    {
        return $this->getContainer()->get('test.service_container');
    }
}
