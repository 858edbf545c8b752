<?php

declare(strict_types=1);

namespace Sluice;

/** The export has no file and will have none: it failed, was cancelled, was deleted or has expired. */
class ExportFailedException extends SluiceException
{
}
