"""Times as text: ISO 8601 in UTC, as log lines, answers and events have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

TIME_MAX = 253_402_300_799
"""The last second of the year 9999, behind which no date is."""
Time = Annotated[float, Meta(ge=0, le=TIME_MAX)]
"""Unix seconds, 0 for "not yet"."""


def iso_time(at: float, timespec: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """Format Unix seconds as ``2026-01-09T10:30:45.123Z``; what is finer than ``timespec`` is cut off."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def zone_named(name: str) -> tzinfo:
    """A time zone by its IANA name, or an offset as ``+08:00``; UTC for a name that only a database knows."""
    if name[:1] in {"+", "-"}:
        hours, _, minutes = name[1:].partition(":")
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(offset if name[0] == "+" else -offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
