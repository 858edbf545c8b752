<?php

/**
 * What the driver knows of Filament 3's exports, in our own words: the model, the exporter, the classes that its driver takes
 * the place of. Nothing here is the package's code, and nothing here writes a file.
 */

declare(strict_types=1);

namespace Filament\Actions\Exports\Models {
    final class Export extends \Illuminate\Database\Eloquent\Model
    {
        protected $guarded = [];

        public function getExporter(array $columnMap, array $options): object
        {
            return app($this->exporter, ['columnMap' => $columnMap]);
        }

        public function getFileDisk()
        {
            return \Illuminate\Support\Facades\Storage::disk($this->file_disk);
        }

        public function getFileDirectory(): string
        {
            return "filament_exports/{$this->getKey()}";
        }
    }
}

namespace Filament\Actions\Exports\Downloaders\Contracts {
    interface Downloader
    {
        public function __invoke(\Filament\Actions\Exports\Models\Export $export): \Symfony\Component\HttpFoundation\StreamedResponse;
    }
}

namespace Filament\Actions\Exports\Downloaders {
    class XlsxDownloader implements Contracts\Downloader
    {
        public function __invoke(\Filament\Actions\Exports\Models\Export $export): \Symfony\Component\HttpFoundation\StreamedResponse
        {
            return new \Symfony\Component\HttpFoundation\StreamedResponse(static function (): void { }, 200, ['X-Original' => static::class]);
        }
    }

    class CsvDownloader extends XlsxDownloader
    {
    }
}

namespace Filament\Actions\Exports\Jobs {
    class CreateXlsxFile implements \Illuminate\Contracts\Queue\ShouldQueue
    {
        use \Illuminate\Bus\Queueable;
        use \Illuminate\Foundation\Bus\Dispatchable;
        use \Illuminate\Queue\InteractsWithQueue;

        protected $export;

        public function __construct($export)
        {
            $this->export = $export;
        }

        public function handle(): void
        {
            file_put_contents(base_path('events'), "made a workbook of {$this->export->id}\n", FILE_APPEND);
        }
    }
}

namespace AnourValar\EloquentSerialize\Facades {
    final class EloquentSerializeFacade
    {
        public static function unserialize(string $query)
        {
            return ('Sluice\\Laravel\\Tests\\' . $query)();
        }
    }
}
