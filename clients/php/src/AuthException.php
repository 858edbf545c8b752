<?php

declare(strict_types=1);

namespace Sluice;

/** The API key is missing, unknown, or may not do this. */
class AuthException extends SluiceException
{
}
