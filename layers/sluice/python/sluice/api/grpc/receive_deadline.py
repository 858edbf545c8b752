"""A deadline for each message of a call to arrive whole, and for each answer to be taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from sluice.domain.errors import SluiceError
from sluice.ports.clock import Clock
from sluice.ports.store_errors import StoreError

_TICKS = 8
"""Checks during the shortest time-out: a wait may last an eighth longer."""
_TICK_S_MAX = 1.0


class ReceiveDeadline:
    """Breaks off the calls whose next message is not there in time, whole, or whose answer is not taken in time.

    One thread watches all calls: gRPC takes no time-out for a wait for a message, nor for one that an answer is taken.
    A call that is broken off frees its thread.
    """

    def __init__(self, *, timeout_s: float, clock: Clock) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = Lock()
        self._waits: dict[Wait, float] = {}
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="grpc-receive-deadline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; calls that wait now wait on."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def wait(
        self,
        cancel: Callable[[], object],
        *,
        timeout_s: float = math.inf,
        check: Callable[[], object] = bool,
    ) -> Wait:
        """A context for each wait of one call; ``cancel`` breaks the call off, and may be called twice.

        ``timeout_s`` can only be less than what all calls are given. ``check`` is asked now and then while it lasts,
        and raises ``SluiceError`` to end it: once the caller's key is revoked.
        """
        return Wait(self, cancel, timeout_s=min(timeout_s, self._timeout_s), check=check)

    def begin(self, wait: Wait) -> None:
        with self._lock:
            self._waits[wait] = self._clock.monotonic() + wait.timeout_s

    def end(self, wait: Wait) -> None:
        with self._lock:
            del self._waits[wait]

    def cancel_overdue(self) -> None:
        """Break off what is overdue now, or lasts for a caller that may call no more."""
        now = self._clock.monotonic()
        with self._lock:
            waits = list(self._waits.items())
        for wait, until in waits:
            if until < now:
                wait.cancel()
            else:
                wait.cancel_refused()

    def _watch(self) -> None:
        while not self._stopping.wait(min(self._timeout_s / _TICKS, _TICK_S_MAX)):
            self.cancel_overdue()


class Wait:
    """The waits of one call for its messages, one after the other, or for its answers to be taken."""

    def __init__(
        self,
        deadline: ReceiveDeadline,
        cancel: Callable[[], object],
        *,
        timeout_s: float,
        check: Callable[[], object] = bool,
    ) -> None:
        self.timeout_s = timeout_s
        self._deadline = deadline
        self._cancel = cancel
        self._check = check
        self.overdue = False
        """Whether one of the waits was too long."""

    def cancel(self) -> None:
        self.overdue = True
        self._cancel()

    def cancel_refused(self) -> None:
        """Break off the call of a caller that is refused by now. A store of keys that is away refuses none."""
        try:
            self._check()
        except SluiceError:
            self._cancel()
        except StoreError:
            return

    def __enter__(self) -> Self:
        self._deadline.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._deadline.end(self)
