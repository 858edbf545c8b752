"""The only way to change a task row: one step of the transition table, with its unknown outcomes resolved."""

from __future__ import annotations

from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Transition, check
from sluice.domain.task import TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases.wait_again import wait_again

TRIES = 3


def apply_transition(ports: Ports, ref: TaskRef, step: Transition) -> bool:
    """Take one step, by one conditional update. True: the row has taken it, through this caller.

    A lost answer is resolved by repeating and then by reading the row. Raises
    ``OutcomeUnknown`` when the row still stands where it stood and the step
    may yet land, and ``IllegalTransition`` for a step the table lacks.
    """
    check(step)
    unknown: OutcomeUnknown | None = None
    for repeat in range(TRIES):
        if unknown is not None:
            wait_again(ports, unknown, repeat=repeat - 1)
        try:
            if ports.tasks.update(ref, step.guard, TaskFields(**step.fields, state=step.target)):
                return True
        except OutcomeUnknown as error:
            unknown = error
        else:
            break
    if unknown is None:
        return False
    task = ports.tasks.read(ref)
    if task is not None and step.is_mine(task):
        return True
    if task is not None and step.is_still_possible(task):
        raise unknown
    return False
