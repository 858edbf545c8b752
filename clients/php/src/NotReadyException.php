<?php

declare(strict_types=1);

namespace Sluice;

/** Waiting ran out. The export goes on; take it up again by its id. */
class NotReadyException extends SluiceException
{
}
