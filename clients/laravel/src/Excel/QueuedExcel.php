<?php

declare(strict_types=1);

namespace Sluice\Laravel\Excel;

use Illuminate\Container\Container;
use Illuminate\Contracts\Filesystem\Factory as Disks;
use Sluice\Client;
use Sluice\Export;
use Sluice\Laravel\PushJob;
use Sluice\Status;

/** What `queue()` of {@see Exportable} dispatches: one job, whose file is on the disk when it ends. */
final class QueuedExcel extends PushJob
{
    /** @var object */
    public $export;
    /** @var string */
    public $filePath;
    /** @var string|null */
    public $disk;
    /** @var string|null */
    public $writerType;
    /** @var array<string, mixed>|string */
    public $diskOptions;
    /** @var string the same for all runs of this job */
    private $key;
    /** @var Mapping|null of this run */
    private $mapping;

    /** @param array<string, mixed>|string $diskOptions */
    public function __construct(object $export, string $filePath, ?string $disk, ?string $writerType, $diskOptions, string $key)
    {
        $this->export = $export;
        $this->filePath = $filePath;
        $this->disk = $disk;
        $this->writerType = $writerType;
        $this->diskOptions = $diskOptions;
        $this->key = $key;
    }

    public function uniqueId(): string
    {
        return get_class($this->export) . "|{$this->disk}|{$this->filePath}";
    }

    public function failed(\Throwable $error): void
    {
        if (method_exists($this->export, 'failed')) {
            $this->export->failed($error);
        }
    }

    /** Puts the whole, checked file of an export onto a disk. */
    public static function put(Export $export, string $filePath, ?string $disk, $diskOptions): bool
    {
        $stream = $export->stream();
        try {
            return Container::getInstance()->make(Disks::class)->disk($disk)->writeStream($filePath, $stream, $diskOptions);
        } finally {
            if (is_resource($stream)) {
                fclose($stream);
            }
        }
    }

    protected function describe(Client $sluice): Export
    {
        $this->mapping = new Mapping($this->export, $this->filePath, $this->writerType);
        return $this->mapping->describe($sluice, $this->filePath, $this->key);
    }

    protected function send(Export $export): void
    {
        $this->mapping->send($export);
    }

    protected function completed(Export $export, Status $status): void
    {
        if (!self::put($export, $this->filePath, $this->disk, $this->diskOptions)) {
            throw new \RuntimeException("The disk did not take {$this->filePath}.");
        }
    }
}
