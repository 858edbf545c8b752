"""Times as text: ISO 8601 in UTC, as log lines, answers and events have them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def iso_time(at: float, timespec: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """Format Unix seconds as ``2026-01-09T10:30:45.123Z``; what is finer than ``timespec`` is cut off."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
