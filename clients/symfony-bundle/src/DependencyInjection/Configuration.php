<?php

declare(strict_types=1);

namespace Sluice\Symfony\DependencyInjection;

use Symfony\Component\Config\Definition\Builder\TreeBuilder;
use Symfony\Component\Config\Definition\ConfigurationInterface;

/** What stands under `sluice:` in the configuration. */
final class Configuration implements ConfigurationInterface
{
    public function getConfigTreeBuilder(): TreeBuilder
    {
        $tree = new TreeBuilder('sluice');
        $tree->getRootNode()
            ->children()
                ->scalarNode('url')->defaultValue('http://127.0.0.1:9091')->info('where the service is')->end()
                ->scalarNode('key')->defaultValue('')->info('the API key; it goes to that server only')->end()
                ->booleanNode('fake')->defaultFalse()->info('a client that sends nothing and keeps the rows, for tests')->end()
                ->integerNode('patience')->defaultValue(10)->min(0)->info('seconds for which a worker waits for a file before it takes other messages')->end()
                ->arrayNode('settings')->normalizeKeys(false)->useAttributeAsKey('name')->variablePrototype()->end()
                    ->info('of Sluice\Client, by their names')->end()
            ->end();
        return $tree;
    }
}
