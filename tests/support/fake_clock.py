"""Time and chance that a test holds in its hand."""

from __future__ import annotations

import random
from threading import Lock

START = 1_700_000_000.0


class FakeClock:
    """Stands still until somebody sleeps or the test moves it.

    ``slept`` lists the sleeps in order.
    """

    def __init__(self, now: float = START) -> None:
        self._lock = Lock()
        self._now = now
        self._monotonic = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP may; no time passes."""
        with self._lock:
            self._now += seconds


class SeededRandomness:
    """The same values in the same order for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)

    def fraction(self) -> float:
        return self._chance.random()
