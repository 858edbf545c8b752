<?php

declare(strict_types=1);

namespace Sluice\Symfony;

/** A message: sends the table of an {@see ExportSource}, whose file {@see ExportCompleted} announces. */
final class PushExport
{
    /** @var class-string<ExportSource> */
    public $source;
    /** @var array<int|string, mixed> */
    public $arguments;

    /**
     * @param class-string<ExportSource> $source
     * @param array<int|string, mixed> $arguments which rows: texts and numbers, since a transport keeps them
     */
    public function __construct(string $source, array $arguments = [])
    {
        $this->source = $source;
        $this->arguments = $arguments;
    }
}
