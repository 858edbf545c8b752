<?php

declare(strict_types=1);

namespace Sluice\Laravel\Excel;

use Illuminate\Container\Container;
use Illuminate\Foundation\Bus\PendingDispatch;
use Psr\Log\LoggerInterface;
use Sluice\Client;
use Sluice\Export;
use Sluice\Laravel\SluiceResponse;
use Sluice\UsageException;

/**
 * In place of the trait of this name in Laravel-Excel: the same calls, the file from Sluice.
 *
 * What cannot be mapped whole is left whole to the original, with one line in the log.
 */
trait Exportable
{
    /**
     * Sends the rows, waits for the file, and leads the browser to it by a link made now.
     *
     * @param array<string, string>|null $headers for the original; the file comes from the service
     */
    public function download(?string $fileName = null, ?string $writerType = null, ?array $headers = null)
    {
        $fileName = $this->nameOf($fileName, 'fileName');
        $mapping = $this->mappingOf($fileName, $writerType);
        if ($mapping === null) {
            return $this->original()->download($this, $fileName, $writerType ?? $this->saidOf('writerType'), $headers ?? $this->saidOf('headers') ?? []);
        }
        return (new SluiceResponse($this->sent($mapping, $fileName)->id()))->toResponse(null);
    }

    /**
     * Sends the rows, waits for the file, and puts it onto the disk.
     *
     * @param array<string, mixed>|string $diskOptions
     * @return bool|PendingDispatch as queue() where the export is to be queued
     */
    public function store(?string $filePath = null, ?string $disk = null, ?string $writerType = null, $diskOptions = [])
    {
        if ($this instanceof \Illuminate\Contracts\Queue\ShouldQueue) {
            return $this->queue($filePath, $disk, $writerType, $diskOptions);
        }
        $filePath = $this->nameOf($filePath, 'filePath');
        [$disk, $diskOptions] = [$disk ?? $this->saidOf('disk'), $diskOptions ?: $this->saidOf('diskOptions') ?? []];
        $mapping = $this->mappingOf($filePath, $writerType);
        if ($mapping === null) {
            return $this->original()->store($this, $filePath, $disk, $writerType ?? $this->saidOf('writerType'), $diskOptions);
        }
        return QueuedExcel::put($this->sent($mapping, $filePath), $filePath, $disk, $diskOptions);
    }

    /**
     * One job, unique for this class and path, that goes on after a crash; its chain goes on when the file is on the disk.
     *
     * @param array<string, mixed>|string $diskOptions
     */
    public function queue(?string $filePath = null, ?string $disk = null, ?string $writerType = null, $diskOptions = [])
    {
        $filePath = $this->nameOf($filePath, 'filePath');
        [$disk, $diskOptions] = [$disk ?? $this->saidOf('disk'), $diskOptions ?: $this->saidOf('diskOptions') ?? []];
        $writerType = $writerType ?? $this->saidOf('writerType');
        if ($this->mappingOf($filePath, $writerType) === null) {
            return $this->original()->queue($this, $filePath, $disk, $writerType, $diskOptions);
        }
        $key = 'excel-' . bin2hex(random_bytes(16));
        return new PendingDispatch(new QueuedExcel($this, $filePath, $disk, $writerType, $diskOptions, $key));
    }

    /** Sends the rows, waits for the file, and returns what is in it: for files that the memory holds. */
    public function raw(?string $writerType = null): string
    {
        $writerType = $writerType ?? $this->saidOf('writerType') ?? 'Xlsx';
        $fileName = 'export.' . strtolower($writerType);
        $mapping = $this->mappingOf($fileName, $writerType);
        return $mapping === null ? $this->original()->raw($this, $writerType) : (string) stream_get_contents($this->sent($mapping, $fileName)->stream());
    }

    /** @param mixed $request */
    public function toResponse($request)
    {
        return $this->download();
    }

    private function sent(Mapping $mapping, string $fileName): Export
    {
        $sluice = Container::getInstance()->make(Client::class);
        $export = $mapping->describe($sluice, $fileName);
        $mapping->send($export);
        return $export->wait();
    }

    private function mappingOf(string $fileName, ?string $writerType): ?Mapping
    {
        $mapping = new Mapping($this, $fileName, $writerType ?? $this->saidOf('writerType'));
        $why = $mapping->whyNot();
        if ($why === null) {
            return $mapping;
        }
        Container::getInstance()->make(LoggerInterface::class)->info('Sluice leaves ' . static::class . " to Laravel-Excel, because of $why.");
        return null;
    }

    private function original()
    {
        return Container::getInstance()->make('Maatwebsite\\Excel\\Exporter');
    }

    private function nameOf(?string $given, string $property): string
    {
        $name = $given ?? $this->saidOf($property);
        if ($name === null) {
            throw new UsageException('The file needs a name: give one, or say $' . $property . ' in the class.');
        }
        return $name;
    }

    /** A property that the class may have, as the original's trait reads it. */
    private function saidOf(string $property)
    {
        return property_exists($this, $property) ? $this->{$property} : null;
    }
}
