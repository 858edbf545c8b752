<?php

declare(strict_types=1);

namespace Sluice\Hyperf;

use Hyperf\Contract\ConfigInterface;
use Sluice\Client;

/**
 * Makes clients from `config/autoload/sluice.php`, which the container cannot share: what it makes lives as long as the
 * worker and serves all its coroutines, and a client waits for the answers of all its own calls.
 */
class Clients
{
    /** @var ConfigInterface */
    private $config;

    public function __construct(ConfigInterface $config)
    {
        $this->config = $config;
    }

    /** A client for this coroutine, and for no other. */
    public function make(): Client
    {
        $config = (array) $this->config->get('sluice', []) + ['url' => 'http://127.0.0.1:9091', 'key' => '', 'settings' => []];
        return new Client((string) $config['url'], (string) $config['key'], (array) $config['settings']);
    }
}
