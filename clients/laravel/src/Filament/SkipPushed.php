<?php

declare(strict_types=1);

namespace Sluice\Laravel\Filament;

/** Middleware of the job that makes Filament's XLSX file of its CSV files: there are none of an export that was pushed. */
final class SkipPushed
{
    /** @param callable(object): mixed $next */
    public function handle(object $job, callable $next): void
    {
        $export = (function () {
            return $this->export;
        })->call($job);
        if (PushedFiles::of($export) === []) {
            $next($job);
        }
    }
}
