<?php

declare(strict_types=1);

namespace Sluice;

/** A row or a cell cannot be sent, or is refused: mend the data, at `row()` and `column()`. */
class InvalidRowException extends SluiceException
{
}
