"""One result that several tasks of a tenant have, and how long it has to stay for them."""

from __future__ import annotations

from dataclasses import replace

from sluice.domain.keys import TaskId
from sluice.domain.lifecycle import Transition, stays
from sluice.domain.task import State, Task, TaskFields

SHARED_MAX = 100
"""Tasks that may have one result at a time; the next one writes a file of its own, which the ones after it share."""


def is_needed(task: Task, *, now: float) -> bool:
    """Whether an ended task's result must stay because another task has it."""
    return any(now < until for until in task.shared_with.values())


def share(source: Task, task_id: TaskId, *, until: float) -> Transition:
    """Keep a completed task's result until ``until`` for another task as well, whatever becomes of its own task."""
    step = stays(source, {"shared_with": {**source.shared_with, task_id: until}})
    return replace(step, is_mine=lambda row: row.shared_with.get(task_id) == until)


def keep_on(source: Task, *, until: float) -> Transition:
    """Keep the result of a task that is over until ``until``, for all that have it."""
    return stays(source, {"shared_with": dict.fromkeys(source.shared_with, until), "due_at": until})


def give_back(source: Task, task_id: TaskId, *, now: float) -> Transition:
    """Say that the other task no longer needs the result, which may be garbage now."""
    left = {other: until for other, until in source.shared_with.items() if other != task_id}
    fields: TaskFields = {"shared_with": left}
    step = stays(source, fields if source.state is State.COMPLETED else {**fields, "due_at": now})
    return replace(step, is_mine=lambda row: row.rev > source.rev and task_id not in row.shared_with)
