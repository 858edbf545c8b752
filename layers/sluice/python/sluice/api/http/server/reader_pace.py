"""Whether a caller takes its answer fast enough to keep its connection."""

from __future__ import annotations

import fcntl
import socket
import termios
from array import array
from contextlib import suppress

from sluice.domain.limits import KIB

READER_PACE_BYTES = 1 * KIB
"""A caller takes this much of an answer in a second, on average; less is dripped to hold a connection."""
READER_LAG_CHECKS = 4
"""How far a caller may fall behind that, in times of ``idle_s``: a minute by default, for networks that stall."""


class ReaderPace:
    """Whether a caller takes what waits for it. Times are those of one clock, in seconds; it may start anywhere."""

    def __init__(self, *, lag_s_max: float) -> None:
        self._lag_s_max = lag_s_max
        self._lag_s = 0.0
        self._unsent_bytes = 0
        self._looked_at = 0.0

    def begin(self, unsent_bytes: int, now: float) -> None:
        """From now on ``unsent_bytes`` wait for the caller."""
        self._unsent_bytes, self._looked_at = unsent_bytes, now

    def look(self, unsent_bytes: int, now: float) -> bool:
        """Whether it took anything since the last look, and is not too far behind ``READER_PACE_BYTES`` a second.

        What it takes faster than that makes up for what it was behind, and is no credit for later.
        """
        taken_bytes = self._unsent_bytes - unsent_bytes
        self._lag_s = max(0.0, self._lag_s + now - self._looked_at - taken_bytes / READER_PACE_BYTES)
        self.begin(unsent_bytes, now)
        return taken_bytes > 0 and self._lag_s <= self._lag_s_max


def count_unsent(connection: socket.socket) -> int:
    """Bytes in the kernel that the other side has not acknowledged; 0 where it does not say."""
    queued = array("i", [0])
    with suppress(OSError, ValueError):
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
    return queued[0]
