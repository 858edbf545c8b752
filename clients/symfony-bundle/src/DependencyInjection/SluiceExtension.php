<?php

declare(strict_types=1);

namespace Sluice\Symfony\DependencyInjection;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use Sluice\Client;
use Sluice\Symfony\AwaitExport;
use Sluice\Symfony\ExportHandler;
use Sluice\Symfony\ExportSource;
use Sluice\Symfony\PushExport;
use Sluice\Testing\FakeClient;
use Symfony\Component\DependencyInjection\Argument\ServiceLocatorArgument;
use Symfony\Component\DependencyInjection\Argument\TaggedIteratorArgument;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\DependencyInjection\Extension\Extension;
use Symfony\Component\DependencyInjection\Reference;
use Symfony\Component\Messenger\MessageBusInterface;

/** Makes the services of the bundle. */
final class SluiceExtension extends Extension
{
    private const SOURCE = 'sluice.export_source';

    /** @param array<mixed> $configs */
    public function load(array $configs, ContainerBuilder $container): void
    {
        $config = $this->processConfiguration(new Configuration(), $configs);
        $client = $container->register(Client::class, $config['fake'] ? FakeClient::class : Client::class)->setPublic($config['fake']);
        if ($config['fake']) { // Symfony refuses variables of the environment that nothing uses
            $container->setParameter('sluice.not_used_by_the_fake', [$config['url'], $config['key'], $config['settings']]);
        } else {
            $logger = new Reference(LoggerInterface::class, ContainerInterface::NULL_ON_INVALID_REFERENCE);
            $client->setArguments([$config['url'], $config['key'], $config['settings'] + ['logger' => $logger]]);
        }
        if (!interface_exists(MessageBusInterface::class)) {
            return;
        }
        $container->registerForAutoconfiguration(ExportSource::class)->addTag(self::SOURCE);
        $sources = new ServiceLocatorArgument(new TaggedIteratorArgument(self::SOURCE, null, null, true));
        $container->register(ExportHandler::class, ExportHandler::class)
            ->setArguments([new Reference(Client::class), $sources, new Reference(MessageBusInterface::class), new Reference(EventDispatcherInterface::class), $config['patience']])
            ->addTag('messenger.message_handler', ['handles' => PushExport::class, 'method' => 'push'])
            ->addTag('messenger.message_handler', ['handles' => AwaitExport::class, 'method' => 'await']);
    }
}
