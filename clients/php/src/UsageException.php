<?php

declare(strict_types=1);

namespace Sluice;

/** The call is wrong in itself, whatever the data and the service: mend the program. */
class UsageException extends SluiceException
{
}
