<?php

declare(strict_types=1);

namespace Sluice;

/** How far an export is: while rows are sent, and while the file is written. */
final class Progress
{
    /** @var int rows that the service has acknowledged to this process */
    public $rows = 0;
    /** @var int */
    public $batches = 0;
    /** @var int batches that the service had already, of an earlier run */
    public $replayed = 0;
    /** @var int bytes of rows, before they were packed */
    public $bytes = 0;
    /** @var int */
    public $retries = 0;
    /** @var string open while rows are sent, then sealed, composing and how it ended */
    public $state = 'open';
    /** @var float as {@see Status::$percent} */
    public $percent = 0.0;
}
