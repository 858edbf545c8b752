<?php

declare(strict_types=1);

namespace Sluice;

/** The service refuses the call for a reason that none of the other classes says; `code()` names it. */
class RefusedException extends SluiceException
{
}
