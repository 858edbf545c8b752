<?php

declare(strict_types=1);

namespace Sluice\Laravel\Filament;

use Filament\Actions\Exports\Downloaders\Contracts\Downloader;
use Filament\Actions\Exports\Models\Export as FilamentExport;
use Illuminate\Container\Container;
use Sluice\Client;
use Symfony\Component\HttpFoundation\StreamedResponse;

/**
 * In place of Filament's downloaders, behind its route and its policy: leads to the file by a link made now. An export that
 * Filament wrote itself is left to the original.
 */
final class LinkDownloader implements Downloader
{
    /** @var Downloader */
    private $original;
    /** @var string */
    private $format;

    public function __construct(Downloader $original, string $format)
    {
        $this->original = $original;
        $this->format = $format;
    }

    /** Filament's controller answers with a StreamedResponse: this one has no body, and says where the file is. */
    public function __invoke(FilamentExport $export): StreamedResponse
    {
        $id = PushedFiles::of($export)[$this->format] ?? null;
        if ($id === null) {
            return ($this->original)($export);
        }
        $url = Container::getInstance()->make(Client::class)->find($id)->wait()->url();
        return new StreamedResponse(static function (): void { }, 302, ['Location' => $url, 'Cache-Control' => 'no-store']);
    }
}
