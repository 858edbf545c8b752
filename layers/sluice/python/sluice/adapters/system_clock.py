"""The machine's time and its source of chance."""

from __future__ import annotations

import secrets
import time


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SystemRandomness:
    """The operating system's randomness."""

    def __init__(self) -> None:
        self._chance = secrets.SystemRandom()

    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def fraction(self) -> float:
        return self._chance.random()
