<?php

declare(strict_types=1);

namespace Sluice;

/** The queue, a quota, a rate or a disk is full: the same call may succeed later. */
class BusyException extends SluiceException
{
}
