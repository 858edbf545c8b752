"""Does what a request asks, with the trouble that a test has ordered for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from infra.emulators.faults import Delay, DoLater, DropAnswer, DropBefore, Hold
from infra.emulators.tablestore.connections import Dropped
from infra.emulators.tablestore.faults import Action, Refuse
from infra.emulators.tablestore.messages import Message
from infra.emulators.tablestore.refusals import MESSAGES, Refused


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
