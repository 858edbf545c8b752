"""The one rule for waiting until something in a store changes: how often it is read, and what if no answer comes.

A gRPC stream, a long poll and a stream of events wait by it. That a call which failed is made again is `retry.py`'s;
a read that shows no change has not failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sluice.ports.clock import Clock
from sluice.ports.store_errors import OutcomeUnknown

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRule:
    """When the next read comes, and for how long the store may be silent."""

    first_pause_s: float = 0.02
    growth: float = 1.5
    """A change is seen late by at most a third of the time waited, and by ``pause_max_s``."""
    pause_max_s: float = 0.5
    silence_max_s: float = 30.0
    """Without an answer to any read for so long the waiter gets an error; it may come again."""


WAITING = WaitRule()


class Waiting:
    """One waiter. Between two reads it lets ``pause_s()`` pass, in its own way: in a thread, or in an event loop."""

    def __init__(self, clock: Clock, rule: WaitRule = WAITING) -> None:
        self._clock = clock
        self._rule = rule
        self._next_pause_s = rule.first_pause_s
        self._answered_at = clock.monotonic()
        self._unanswered: OutcomeUnknown | None = None

    def pause_s(self) -> float:
        """How long to wait before the next read."""
        pause_s = self._next_pause_s
        self._next_pause_s = min(pause_s * self._rule.growth, self._rule.pause_max_s)
        return pause_s

    def read(self, read: Callable[[T], T], known: T) -> T:
        """What ``read(known)`` gives; ``known`` itself while the store does not answer.

        Raises what the store says after ``silence_max_s`` without an answer, and at once what else ``read`` raises.
        """
        try:
            found = read(known)
        except OutcomeUnknown as error:
            self._unanswered = error
            if self._clock.monotonic() - self._answered_at >= self._rule.silence_max_s:
                raise
            return known
        self._answered_at, self._unanswered = self._clock.monotonic(), None
        return found

    def check(self) -> None:
        """Raise what the last read raised if no answer came: at the end of a wait nothing old is given as new."""
        if self._unanswered is not None:
            raise self._unanswered
