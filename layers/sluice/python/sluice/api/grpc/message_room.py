"""How much memory messages may take before they come: the largest for each call that waits for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.api.auth import Principal, Shares
from sluice.api.service import ROOM_POLL_S
from sluice.domain.errors import SluiceError
from sluice.ports.clock import Clock

Taken = TypeVar("Taken")

WAIT_S = 60
"""How long a call waits for room for its message."""


def wait_for_share(take: Callable[[], Taken], *, clock: Clock, wait_s: float, is_active: Callable[[], bool]) -> Taken:
    """What ``take`` gives once there is a share. Raises its QUEUE_FULL after ``wait_s``, or when its caller is gone."""
    give_up_at = clock.monotonic() + wait_s
    while True:
        try:
            return take()
        except SluiceError:
            if not is_active() or clock.monotonic() >= give_up_at:
                raise
        clock.sleep(ROOM_POLL_S)


class MessageRoom:
    """One call's share of the bytes that the messages of all calls may take while they arrive and are handled.

    The size of a message is not known before it is there, and gRPC's core
    takes it from the network once it is asked for, which cannot be taken back:
    so there must be room for the largest before that, and a call that waits
    for its message has it.
    """

    def __init__(
        self,
        shares: Shares,
        principal: Principal,
        *,
        needed: int,
        keeps: bool,
        clock: Clock,
        wait_s: float,
        is_active: Callable[[], bool],
    ) -> None:
        """``shares`` counts what messages take, of which one has ``needed`` at most.

        ``keeps``: what has come counts until it is handled, and not only while it comes.
        """
        self._shares = shares
        self._principal = principal
        self._needed = needed
        self._keeps = keeps
        self._clock = clock
        self._wait_s = wait_s
        self._is_active = is_active
        self._size = 0

    def take(self) -> None:
        """Wait for room for a message. Raises QUEUE_FULL when there is none in time, or the caller has gone."""
        if self._size:
            return

        def add() -> int:
            self._shares.add(self._principal, self._needed)
            return self._needed

        self._size = wait_for_share(add, clock=self._clock, wait_s=min(self._wait_s, WAIT_S), is_active=self._is_active)

    def shrink(self, size: int) -> None:
        """Keep room for what has come, when no more will be asked for."""
        kept = min(size, self._size) if self._keeps else 0
        self._shares.remove(self._principal, self._size - kept)
        self._size = kept

    def give_back(self) -> None:
        """Repeatable."""
        self.shrink(0)
