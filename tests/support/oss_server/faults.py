"""What can go wrong between a caller and the store, ordered request by request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Refuse:
    """Answer with an error; nothing is done."""

    status: int = 503
    code: str = "ServiceUnavailable"


@dataclass(frozen=True)
class Throttle:
    """Answer 503 with ``x-oss-qos-delay-time``; nothing is done."""

    delay_ms: int = 100
    code: str = "TotalQpsLimitExceeded"


@dataclass(frozen=True)
class DropBefore:
    """Take the whole request in, do nothing, reset the connection: the caller sees no answer."""


@dataclass(frozen=True)
class DropAnswer:
    """Do it, then reset the connection without a byte of answer."""


@dataclass(frozen=True)
class CutRequest:
    """Reset the connection after this many bytes of the request's body; nothing is done."""

    after_bytes: int = 0


@dataclass(frozen=True)
class CutAnswer:
    """Do it, promise the whole body, send this many bytes of it and close."""

    after_bytes: int = 0


@dataclass(frozen=True)
class CorruptRequest:
    """Flip a bit of this byte of the body on its way in: what is stored is not what was sent."""

    at_byte: int = 0


@dataclass(frozen=True)
class CorruptAnswer:
    """Do it, and flip a bit of this byte of the answer's body."""

    at_byte: int = 0


@dataclass(frozen=True)
class Delay:
    """Wait, then do it and answer; ``before=False`` does it first and is late with the answer only."""

    seconds: float
    before: bool = True


class _Gate:
    """Stops the server's side of a request until a test lets it go."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._released = threading.Event()
        self._done = threading.Event()

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


class Hold(_Gate):
    """Take the whole request in and wait until released, then do it and answer, should the caller still listen.

    ``before=False`` does it first and holds the answer back.
    """

    def __init__(self, *, before: bool = True) -> None:
        super().__init__()
        self.before = before


class DoLater(_Gate):
    """Take the whole request in and reset the connection at once; do it when released."""


Action = (
    Refuse
    | Throttle
    | DropBefore
    | DropAnswer
    | CutRequest
    | CutAnswer
    | CorruptRequest
    | CorruptAnswer
    | Delay
    | Hold
    | DoLater
)


@dataclass
class Fault:
    """Which requests meet which trouble. The patterns are shell patterns; ``*`` crosses slashes."""

    action: Action
    operation: str = "*"
    bucket: str = "*"
    key: str = "*"
    times: int | None = 1
    """How many requests meet it; None is all of them."""
    after: int = 0
    """How many matching requests pass first."""
    passed: int = field(default=0, init=False)
    met: int = field(default=0, init=False)
    """How many requests have met it so far."""

    def matches(self, operation: str, bucket: str, key: str) -> bool:
        return (
            fnmatchcase(operation, self.operation) and fnmatchcase(bucket, self.bucket) and fnmatchcase(key, self.key)
        )


class Faults:
    """The faults in wait; a request meets the first that matches and is not used up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget every fault and let go of whoever is held."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            if isinstance(fault.action, _Gate):
                fault.action.release()

    def take(self, operation: str, bucket: str, key: str) -> Action | None:
        """The trouble that a request meets, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.times is not None and fault.met >= fault.times:
                    continue
                if not fault.matches(operation, bucket, key):
                    continue
                if fault.passed < fault.after:
                    fault.passed += 1
                    continue
                fault.met += 1
                return fault.action
        return None


def _wait(event: threading.Event, timeout_s: float, complaint: str) -> None:
    if not event.wait(timeout_s):
        raise TimeoutError(complaint)
