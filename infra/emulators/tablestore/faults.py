"""What can go wrong between a caller and the table store, ordered request by request, and how it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from infra.emulators.faults import CutAnswer, Delay, DoLater, DropAnswer, DropBefore, FaultsInWait, Hold, Ordered
from infra.emulators.tablestore.calls import Call
from infra.emulators.tablestore.connections import Dropped
from infra.emulators.tablestore.messages import Message
from infra.emulators.tablestore.refusals import MESSAGES, Refused
from infra.emulators.tablestore.values import Bound, KeyValue


@dataclass(frozen=True)
class Refuse:
    """Answer with an error; nothing is done. ``before=False`` does it first: the error is then a lie."""

    code: str = "OTSServerBusy"
    """Its HTTP status is in ``refusals.STATUS_BY_CODE``; the SDK decides by code, status and sometimes message."""
    message: str = ""
    before: bool = True


@dataclass(frozen=True)
class CorruptAnswer:
    """Do it, and let this part of the answer be wrong; ``body`` flips one bit of it."""

    part: Literal["md5", "body", "signature", "date", "request_id"] = "md5"


Action = Refuse | DropBefore | DropAnswer | CutAnswer | CorruptAnswer | Delay | Hold | DoLater


@dataclass
class Fault(Ordered):
    """Which requests meet which trouble. The patterns are shell patterns."""

    action: Action
    operation: str = "*"
    table: str = "*"
    row: str = "*"
    """Any value of the primary key of any row of the request."""
    column: str = "*"
    """Any column that the request changes or asks for."""
    where: Callable[[Call], bool] | None = None
    """What else must hold of the request."""

    def matches(self, call: Call) -> bool:
        return (
            fnmatchcase(call.operation, self.operation)
            and (self.table == "*" or _any_matches(call.tables, self.table))
            and (self.row == "*" or _any_matches(map(_key_text, _key_values(call)), self.row))
            and (self.column == "*" or _any_matches(call.columns, self.column))
            and (self.where is None or self.where(call))
        )


class Faults(FaultsInWait[Fault]):
    def take(self, call: Call) -> Action | None:
        """Return the trouble that a request meets, or None."""
        fault = self.meet(lambda fault: fault.matches(call))
        return None if fault is None else fault.action


def _any_matches(names: Iterable[str], pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _key_values(call: Call) -> Iterator[KeyValue]:
    return (value for key in call.keys for _, value in key)


def _key_text(value: KeyValue) -> str:
    match value:
        case Bound():
            return value.name
        case bytes():
            return value.hex()
        case _:
            return str(value)


def with_trouble(
    action: Action | None, perform: Callable[[], Message], *, reset: Callable[[], None], stopping: threading.Event
) -> Message:
    """Return the answer of ``perform``; the trouble comes before it or after it. Raises Refused or Dropped."""
    if _comes_before(action):
        _suffer(action, reset, stopping)
    try:
        done = perform()
    finally:
        if isinstance(action, Hold | DoLater):
            action.finish()
    if not _comes_before(action):
        _suffer(action, reset, stopping)
    if isinstance(action, DoLater):
        raise Dropped
    return done


def _comes_before(action: Action | None) -> bool:
    match action:
        case DropBefore() | DoLater():
            return True
        case Refuse() | Delay() | Hold():
            return action.before
        case _:
            return False


def _suffer(action: Action | None, reset: Callable[[], None], stopping: threading.Event) -> None:
    match action:
        case Refuse(code, message):
            raise Refused(code, message or MESSAGES.get(code, "Ordered by a test."))
        case DropBefore() | DropAnswer():
            raise Dropped
        case Delay(seconds):
            stopping.wait(seconds)
        case DoLater():
            reset()
            action.reach()
        case Hold():
            action.reach()
        case _:
            pass
