<?php

declare(strict_types=1);

namespace Sluice\Symfony;

use Sluice\Client;
use Sluice\Export;

/** A table that {@see PushExport} sends: a service, found by its class. */
interface ExportSource
{
    /**
     * Describes the export; sends nothing. Its key says which rows are meant, so that a message that comes again goes on.
     *
     * @param array<int|string, mixed> $arguments of the message
     */
    public function describe(Client $sluice, array $arguments): Export;

    /**
     * All rows, read anew at each call, and always in the same order: sort by something unique.
     *
     * @param array<int|string, mixed> $arguments of the message
     * @return iterable<mixed>
     */
    public function rows(array $arguments): iterable;
}
