"""What can go wrong between a caller and the store, ordered request by request."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from infra.emulators.faults import CutAnswer, Delay, DoLater, DropAnswer, DropBefore, FaultsInWait, Hold, Ordered


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
class CutRequest:
    """Reset the connection after this many bytes of the request's body; nothing is done."""

    after_bytes: int = 0


@dataclass(frozen=True)
class CorruptRequest:
    """Flip a bit of this byte of the body on its way in: what is stored is not what was sent."""

    at_byte: int = 0


@dataclass(frozen=True)
class CorruptAnswer:
    """Do it, and flip a bit of this byte of the answer's body."""

    at_byte: int = 0


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
class Fault(Ordered):
    """Which requests meet which trouble. The patterns are shell patterns; ``*`` crosses slashes."""

    action: Action
    operation: str = "*"
    bucket: str = "*"
    key: str = "*"

    def matches(self, operation: str, bucket: str, key: str) -> bool:
        return (
            fnmatchcase(operation, self.operation) and fnmatchcase(bucket, self.bucket) and fnmatchcase(key, self.key)
        )


class Faults(FaultsInWait[Fault]):
    def take(self, operation: str, bucket: str, key: str) -> Action | None:
        """The trouble that a request meets, or None."""
        fault = self.meet(lambda fault: fault.matches(operation, bucket, key))
        return None if fault is None else fault.action
