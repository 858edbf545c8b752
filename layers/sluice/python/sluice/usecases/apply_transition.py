"""The only way to change a task row: by a conditional change whose outcome is always found out."""

from __future__ import annotations

from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Transition, check
from sluice.domain.task import TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.retry import settle


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
        # As the guard found it, an update under way may still land.
        return None if task is not None and step.guard.fits(task) else False

    return settle(ports, update, read_back)
