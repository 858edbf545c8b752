<?php

declare(strict_types=1);

namespace Sluice\Symfony;

/** A message: waits for the file of an export that was sent. It comes again every few seconds, so that it holds no worker. */
final class AwaitExport
{
    /** @var string */
    public $taskId;
    /** @var PushExport|null what sent it */
    public $pushed;

    public function __construct(string $taskId, ?PushExport $pushed = null)
    {
        $this->taskId = $taskId;
        $this->pushed = $pushed;
    }
}
