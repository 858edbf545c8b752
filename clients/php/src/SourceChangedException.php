<?php

declare(strict_types=1);

namespace Sluice;

/** Under this key other rows were sent before. `restartIfStopped()` begins anew. */
class SourceChangedException extends SluiceException
{
}
