"""What Function Compute says of one call of an event function, whichever runtime says it."""

from __future__ import annotations

from typing import NamedTuple

from sluice.adapters.aliyun.credentials import Credentials
from sluice.domain.secret import Secret


class Invocation(NamedTuple):
    """One call. What the runtime does not say is empty, or None."""

    request_id: str
    time_limit_s: float | None
    memory_mb: int | None
    credentials: Credentials | None
    """Those of the function's role; runtimes from Python 3.12 on put them into the environment instead."""


def read_context(context: object) -> Invocation:
    """Read the ``context`` argument of a handler. Never raises: a missing word is not worth a task."""
    function = getattr(context, "function", None)
    return Invocation(
        request_id=str(getattr(context, "request_id", "") or ""),
        time_limit_s=_number(getattr(function, "timeout", None)),
        memory_mb=int(_number(getattr(function, "memory", None)) or 0) or None,
        credentials=_credentials(getattr(context, "credentials", None)),
    )


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _credentials(given: object) -> Credentials | None:
    key_id, secret, token = (
        str(getattr(given, name, "") or "") for name in ("access_key_id", "access_key_secret", "security_token")
    )
    return Credentials(key_id, Secret(secret), Secret(token)) if key_id and secret else None
