<?php

declare(strict_types=1);

namespace Sluice;

/** No answer, or one that no Sluice service gives, such as a page of a proxy. */
class TransportException extends SluiceException
{
}
