"""The only way to change a task row: one step of the transition table, with its unknown outcomes resolved."""

from __future__ import annotations

from collections.abc import Callable

from sluice.domain.keys import TaskRef
from sluice.domain.task import Guard, State, Task, TaskFields, check_transition
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases.wait_again import wait_again

TRIES = 3


def apply_transition(
    ports: Ports,
    ref: TaskRef,
    *,
    guard: Guard,
    target: State,
    fields: TaskFields,
    is_mine: Callable[[Task], bool],
) -> bool:
    """Take one step, by one conditional update. True: the row has taken it, through this caller.

    A lost answer is resolved by repeating and then by reading the row:
    ``is_mine`` tells whether the row it is given shows this caller's own step.
    Raises ``OutcomeUnknown`` when the row still stands where it stood and the
    step may yet land, and ``IllegalTransition`` for a step the table lacks.
    """
    check_transition(guard, target)
    unknown: OutcomeUnknown | None = None
    for repeat in range(TRIES):
        if unknown is not None:
            wait_again(ports, unknown, repeat=repeat - 1)
        try:
            if ports.tasks.update(ref, guard, TaskFields(**fields, state=target)):
                return True
        except OutcomeUnknown as error:
            unknown = error
        else:
            break
    if unknown is None:
        return False
    task = ports.tasks.read(ref)
    if task is not None and is_mine(task):
        return True
    if task is not None and _still(guard, task):
        raise unknown
    return False


def _still(guard: Guard, task: Task) -> bool:
    """Whether the row is as the guard found it, so that the step may still land."""
    return (
        task.state is guard.state
        and (guard.rev is None or task.rev == guard.rev)
        and (guard.epoch is None or task.epoch == guard.epoch)
    )
