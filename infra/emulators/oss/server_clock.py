"""The store's clock: the machine's, moved by as much as a test wants."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate


class ServerClock:
    """Unix seconds; ``offset_s`` may be set at any time."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s


def http_date(at: float) -> str:
    return formatdate(at, usegmt=True)


def iso_date(at: float) -> str:
    """The form of dates in documents and events, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
