"""The only way to change a task row: by a conditional change whose outcome is always found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Transition, check
from sluice.domain.task import TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES, Retry
from sluice.ports.store_errors import OutcomeUnknown

T = TypeVar("T")


def settle(ports: Ports, attempt: Callable[[], T | None], read_back: Callable[[bool], T | None]) -> T:
    """Make a conditional change and say how it ended: repeat while no answer comes, then read back.

    ``attempt`` makes the change, and may be made again: it returns what a yes
    amounts to, None for a no. After a no, or when no answer came to any try,
    ``read_back`` says what the store shows; it is given whether an answer was
    lost, so that the change may be ours. It returns None while the change may
    yet happen: then ``OutcomeUnknown`` is raised, and nothing may be assumed.
    """
    lost: OutcomeUnknown | None = None

    def noted() -> T | None:
        nonlocal lost
        try:
            return attempt()
        except OutcomeUnknown as error:
            lost = error
            raise

    try:
        done = Retry(CHANGES, ports.clock, ports.randomness).call(noted)
    except OutcomeUnknown:
        done = None
    if done is None:
        done = read_back(lost is not None)
    if done is None:
        raise lost or OutcomeUnknown("the change was refused, and the store does not show why")
    return done


def apply_transition(ports: Ports, ref: TaskRef, step: Transition) -> bool:
    """Take one step, by one conditional update. True: the row has taken it, through this caller.

    Raises ``OutcomeUnknown`` when the row still stands where it stood and the
    step may yet land, and ``IllegalTransition`` for a step the table lacks.
    """
    check(step)

    def update() -> bool | None:
        return ports.tasks.update(ref, step.guard, TaskFields(**step.fields, state=step.target)) or None

    def read_back(lost: bool) -> bool | None:  # noqa: FBT001 - as settle gives it
        task = ports.tasks.read(ref) if lost else None
        if task is not None and step.is_mine(task):
            return True
        return None if task is not None and step.is_still_possible(task) else False

    return settle(ports, update, read_back)
