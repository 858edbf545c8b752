"""Since when a task is where it is, and who acts next and when."""

from __future__ import annotations

import msgspec

from sluice.cli.formatting import iso
from sluice.domain.errors import Actor
from sluice.domain.task import Attempt, State, Task
from sluice.domain.task_errors import failure_of, waits_for_room

OVERDUE_S = 60.0
"""A sweeper runs every few seconds; a row due for longer than this has none."""


_USUAL = {
    State.OPEN: ("sender", "sends batches and closes; left alone, the task expires"),
    State.WAITING: ("reader", "takes the task; the sweeper starts one when none has"),
    State.READING: ("reader", "reads the source; the sweeper starts another when its lease has lapsed"),
    State.SEALED: ("composer", "takes the task; the sweeper starts one when none has"),
    State.COMPOSING: ("composer", "writes the file; the sweeper starts another when its lease has lapsed"),
    State.CANCELLED: ("nobody", "acts; the task was cancelled, and the sweeper removes what is left"),
    State.EXPIRED: ("nobody", "acts; the task is past its time, and the sweeper removes what is left"),
}
_REMEDY = {
    Actor.CLIENT: "sends a corrected export as a new task",
    Actor.PLATFORM: "waits until the stores answer, then: sluice task retry {task}",
    Actor.OPERATOR: "removes the cause, then: sluice task retry {task}",
}


class NextStep(msgspec.Struct, frozen=True):
    """What happens next, and who does it."""

    who: str
    what: str
    due_at: str
    """When the sweeper checks the task next, whatever the others do."""
    overdue_s: int
    """How long ago the sweeper should have checked it, when that means that none is running."""


def since(task: Task, attempts: list[Attempt]) -> float:
    """When the task entered its state, as far as row and log say."""
    match task.state:
        case State.OPEN:
            return task.created_at
        case State.WAITING:
            return max([task.created_at, *(attempt.ended_at for attempt in attempts)])
        case State.SEALED:
            return max([task.sealed_at, *(attempt.ended_at for attempt in attempts)])
        case State.COMPOSING | State.READING:
            return max([task.started_at, *(one.started_at for one in attempts if one.epoch == task.epoch)])
        case State.EXPIRED if not task.deleted_at:
            return task.expires_at
        case _:
            return task.deleted_at or task.finished_at


def next_step(task: Task, now: float) -> NextStep:
    """Who acts next. What the sweeper does is said with its time, because it acts whatever the others do."""
    who, what = _who_acts(task)
    late_s = now - task.due_at
    return NextStep(who, what, iso(task.due_at), overdue_s=int(late_s) if late_s > OVERDUE_S else 0)


def _who_acts(task: Task) -> tuple[str, str]:
    if task.deleted_at:
        return "nobody", "acts; the task was deleted, and the sweeper removes what is left"
    if task.state is State.COMPLETED:
        return "client", f"may download the file until {iso(task.expires_at)}"
    if task.state is State.FAILED:
        who = failure_of(task).meaning.who
        return who.value, f"{_REMEDY[who].format(task=task.task_id)}; the rows are kept until {iso(task.expires_at)}"
    if waits_for_room(task):
        return "operator", f"makes room: the file is begun again once {task.room_needed:,} bytes are free for it"
    return _USUAL[task.state]
