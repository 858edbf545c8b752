"""Times as text: ISO 8601 in UTC, as log lines, answers and events have them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

TIME_MAX = 253_402_300_799
"""The last second of the year 9999, behind which no date is."""
Time = Annotated[float, Meta(ge=0, le=TIME_MAX)]
"""Unix seconds, 0 for "not yet"."""


def iso_time(at: float, timespec: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """Format Unix seconds as ``2026-01-09T10:30:45.123Z``; what is finer than ``timespec`` is cut off."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
