<?php

declare(strict_types=1);

namespace Sluice\Laravel\Filament;

use Filament\Actions\Exports\Models\Export as FilamentExport;

/** Which exports of the service hold the files of one of Filament; kept beside where Filament keeps its own files. */
final class PushedFiles
{
    /** @return array<string, string> ids by format; none for an export that Filament wrote itself */
    public static function of(FilamentExport $export): array
    {
        $disk = $export->getFileDisk();
        $ids = $disk->exists(self::path($export)) ? json_decode((string) $disk->get(self::path($export)), true) : [];
        return is_array($ids) ? $ids : [];
    }

    /** @param array<string, string> $ids by format */
    public static function keep(FilamentExport $export, array $ids): void
    {
        if (!$export->getFileDisk()->put(self::path($export), (string) json_encode($ids))) {
            throw new \RuntimeException("The disk {$export->file_disk} did not take " . self::path($export) . '.');
        }
    }

    private static function path(FilamentExport $export): string
    {
        return $export->getFileDirectory() . '/sluice.json';
    }
}
