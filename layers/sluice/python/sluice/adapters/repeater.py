"""Doing an idempotent call again when its outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.ports.clock import Clock, Randomness
from sluice.ports.store_errors import OutcomeUnknown

T = TypeVar("T")

_WAIT_S = 0.1
"""The longest wait before the second try; doubles each time."""
_WAIT_MAX_S = 2.0
"""The longest wait of all."""


class Repeater:
    """Tries up to ``tries`` times; between tries waits a random time up to a bound that doubles.

    The time is random from zero up, so that callers who failed together spread out.
    """

    def __init__(self, *, clock: Clock, randomness: Randomness, tries: int) -> None:
        if tries < 1:
            raise ValueError("tries starts at 1")
        self._clock = clock
        self._randomness = randomness
        self._tries = tries

    def call(self, action: Callable[[], T]) -> T:
        """Call ``action`` until it answers; at the last try ``OutcomeUnknown`` goes to the caller."""
        for repeat in range(self._tries - 1):
            try:
                return action()
            except OutcomeUnknown:
                self._clock.sleep(min(_WAIT_S * 2**repeat, _WAIT_MAX_S) * self._randomness.fraction())
        return action()
