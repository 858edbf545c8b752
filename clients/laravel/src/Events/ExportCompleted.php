<?php

declare(strict_types=1);

namespace Sluice\Laravel\Events;

use Sluice\Laravel\PushJob;
use Sluice\Status;

/** A queued export has its file. As jobs of a queue may, it may come more than once for one export. */
final class ExportCompleted
{
    /** @var PushJob with what it was made of */
    public $job;
    /** @var Status whose `taskId` finds the export again */
    public $status;

    public function __construct(PushJob $job, Status $status)
    {
        $this->job = $job;
        $this->status = $status;
    }
}
