"""Doing an idempotent call again when its outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeVar

from sluice.ports.clock import Clock, Randomness
from sluice.ports.store_errors import OutcomeUnknown

T = TypeVar("T")

_WAIT_S = 0.1
"""The longest wait before the second try; doubles each time."""
_WAIT_MAX_S = 2.0
"""The longest wait that we choose ourselves."""
ASKED_WAIT_MAX_S = 10.0
"""The longest wait that a store may ask for: a call does not wait longer, whatever it says."""


class Repeater:
    """Tries up to ``tries`` times; between tries waits a random time up to a bound that doubles.

    The time is random from zero up, so that callers who failed together spread
    out. A store that asks for time gets it before that. No try begins later
    than ``within_s`` after the first.
    """

    def __init__(self, *, clock: Clock, randomness: Randomness, tries: int, within_s: float = inf) -> None:
        if tries < 1:
            raise ValueError("tries starts at 1")
        self._clock = clock
        self._randomness = randomness
        self._tries = tries
        self._within_s = within_s

    def call(self, action: Callable[[], T]) -> T:
        """Call ``action`` until it answers; at the last try ``OutcomeUnknown`` goes to the caller."""
        over_at = self._clock.monotonic() + self._within_s
        for repeat in range(self._tries - 1):
            try:
                return action()
            except OutcomeUnknown as error:
                wait_s = min(error.retry_after_s, ASKED_WAIT_MAX_S) + self._own_wait_s(repeat)
                if self._clock.monotonic() + wait_s > over_at:
                    raise
                self._clock.sleep(wait_s)
        return action()

    def _own_wait_s(self, repeat: int) -> float:
        return min(_WAIT_S * 2.0**repeat, _WAIT_MAX_S) * self._randomness.fraction()
