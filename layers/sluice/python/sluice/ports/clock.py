"""Time and chance, so that tests can hold them still."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds. Never a condition of safety: it may jump."""

    def monotonic(self) -> float:
        """Seconds that only grow, for durations."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Randomness(Protocol):
    def bytes(self, count: int) -> bytes:
        """``count`` unpredictable bytes."""

    def fraction(self) -> float:
        """A number from 0 to below 1, for jitter; need not be unpredictable."""
