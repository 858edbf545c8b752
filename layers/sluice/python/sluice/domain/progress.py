"""What a task row says to the person who waits for it."""

from __future__ import annotations

import math
from enum import StrEnum

from sluice.domain.task import Phase, State, Task


class Status(StrEnum):
    """The wire contract's states."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    UPLOADING = "UPLOADING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


_STATUS = {
    State.OPEN: Status.QUEUED,
    State.SEALED: Status.QUEUED,
    State.COMPOSING: Status.PROCESSING,
    State.COMPLETED: Status.COMPLETED,
    State.FAILED: Status.FAILED,
    State.CANCELLED: Status.CANCELLED,
    State.EXPIRED: Status.EXPIRED,
}


def status_of(task: Task) -> Status:
    """The contract's status: open and sealed are queued; composing uploads once all rows are rendered."""
    if task.state is State.COMPOSING and task.phase == Phase.UPLOADING:
        return Status.UPLOADING
    return _STATUS[task.state]


def progress_percent(task: Task) -> float:
    """Rows in the file of rows to come, 0 to 100; 100 only when the file is there."""
    if task.state is State.COMPLETED:
        return 100.0
    if task.state is not State.COMPOSING or not task.total_rows:
        return 0.0
    return round(min(99.0, 100 * task.rows_done / task.total_rows), 1)


def eta_s(task: Task, now: float) -> int | None:
    """Whole seconds until the file is there, by the pace so far; None while there is no pace."""
    if task.state is not State.COMPOSING or not task.rows_done or not task.started_at:
        return None
    elapsed_s = max(now - task.started_at, 0.001)
    return math.ceil(elapsed_s * max(task.total_rows - task.rows_done, 0) / task.rows_done)
