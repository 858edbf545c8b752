<?php

declare(strict_types=1);

namespace Sluice\Symfony;

use Sluice\Status;

/** An event: the file is there. As messages may, it may come more than once for one export. */
final class ExportCompleted
{
    /** @var Status whose `taskId` finds the export again */
    public $status;
    /** @var PushExport|null what sent it; null where the application awaited an export of its own */
    public $pushed;

    public function __construct(Status $status, ?PushExport $pushed)
    {
        $this->status = $status;
        $this->pushed = $pushed;
    }
}
