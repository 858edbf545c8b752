<?php

declare(strict_types=1);

namespace Sluice\Symfony;

use Symfony\Component\HttpKernel\Bundle\Bundle;

/** The client as a service, and exports through Messenger where that is installed. */
final class SluiceBundle extends Bundle
{
}
