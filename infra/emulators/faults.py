"""What can go wrong between a caller and any server that stands in for a service: the kinds, and their waiting list."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar


@dataclass(frozen=True)
class DropBefore:
    """Take the whole request in, do nothing, reset the connection: the caller sees no answer."""


@dataclass(frozen=True)
class DropAnswer:
    """Do it, then reset the connection without a byte of answer."""


@dataclass(frozen=True)
class CutAnswer:
    """Do it, promise the whole body, send this many bytes of it and close."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Delay:
    """Wait, then do it and answer; ``before=False`` does it first and is late with the answer only."""

    seconds: float
    before: bool = True


class Gate:
    """Stops the server's side of a request until a test lets it go."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._released = threading.Event()
        self._done = threading.Event()

    @property
    def is_reached(self) -> bool:
        """Whether a request has come here."""
        return self._reached.is_set()

    def wait_reached(self, timeout_s: float = 10) -> None:
        """Wait until a request stands here. Raises TimeoutError."""
        _wait(self._reached, timeout_s, "no request came here")

    def wait_done(self, timeout_s: float = 10) -> None:
        """Wait until the store has done what it was asked, after the release. Raises TimeoutError."""
        _wait(self._done, timeout_s, "what was asked is not done")

    def release(self) -> None:
        self._released.set()

    def reach(self) -> None:
        """Stand here until released; the server's side."""
        self._reached.set()
        self._released.wait()

    def finish(self) -> None:
        """Say that it is done; the server's side."""
        self._done.set()


class Hold(Gate):
    """Take the whole request in and wait until released, then do it and answer, should the caller still listen.

    ``before=False`` does it first and holds the answer back.
    """

    def __init__(self, *, before: bool = True) -> None:
        super().__init__()
        self.before = before


class DoLater(Gate):
    """Take the whole request in and reset the connection at once; do it when released."""


@dataclass(kw_only=True)
class Ordered:
    """How often a fault is met, and from which request on."""

    times: int | None = 1
    """How many requests meet it; None is all of them."""
    after: int = 0
    """How many matching requests pass first."""
    passed: int = field(default=0, init=False)
    met: int = field(default=0, init=False)
    """How many requests have met it so far."""

    @property
    def gate(self) -> Gate | None:
        """What stops requests, if that is what the fault does."""
        action = getattr(self, "action", None)
        return action if isinstance(action, Gate) else None


Waiting = TypeVar("Waiting", bound=Ordered)


class FaultsInWait(Generic[Waiting]):
    """A request meets the first fault that matches and is not used up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Waiting] = []

    def add(self, fault: Waiting) -> Waiting:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget every fault and release what waits at a gate."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            if fault.gate is not None:
                fault.gate.release()

    def meet(self, matches: Callable[[Waiting], bool]) -> Waiting | None:
        """Find the fault that a request meets, and count it; None when it meets none."""
        with self._lock:
            for fault in self._faults:
                if (fault.times is not None and fault.met >= fault.times) or not matches(fault):
                    continue
                if fault.passed < fault.after:
                    fault.passed += 1
                    continue
                fault.met += 1
                return fault
        return None


def _wait(event: threading.Event, timeout_s: float, complaint: str) -> None:
    if not event.wait(timeout_s):
        raise TimeoutError(complaint)
