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
    State.OPEN: Status.PROCESSING,
    State.WAITING: Status.QUEUED,
    State.READING: Status.PROCESSING,
    State.SEALED: Status.QUEUED,
    State.COMPOSING: Status.PROCESSING,
    State.COMPLETED: Status.COMPLETED,
    State.FAILED: Status.FAILED,
    State.CANCELLED: Status.CANCELLED,
    State.EXPIRED: Status.EXPIRED,
}


_SHARES = frozenset({State.OPEN, State.SEALED, State.COMPOSING})
PUSH_SHARE = 75.0
"""A composer writes a workbook about three times as fast as a relay on one core takes its rows in."""


def status_of(task: Task) -> Status:
    """The contract's status: only what waits for a composer is queued; composing uploads once all rows are rendered."""
    if task.state is State.COMPOSING and task.phase == Phase.UPLOADING:
        return Status.UPLOADING
    return _STATUS[task.state]


def rows_expected(task: Task) -> int | None:
    """How many rows there will be: as announced at the open, else as closed; None before."""
    announced = task.params.expected_rows if task.params else None
    return announced if announced is not None else task.total_rows if task.sealed_at else None


def progress_percent(task: Task) -> float:
    """How far the export is on its way to the file, 0 to 100; 100 only when the file is there.

    Where the rows were announced, receiving them is ``PUSH_SHARE`` of the way and writing the file the rest.
    Otherwise the push cannot be measured: it counts nothing, and writing is the whole way.
    """
    if task.state is State.COMPLETED:
        return 100.0
    if task.state not in _SHARES:
        return 0.0
    expected = task.params.expected_rows if task.params else None
    is_pushed = expected and task.params and not task.params.source_task
    push = PUSH_SHARE if is_pushed else 0.0
    received = 1.0  # of the announced rows: all of them, once the task is closed
    if task.state is State.OPEN:
        received = min(task.rows_received / expected, 1.0) if expected else 0.0
    written = task.rows_done / task.total_rows if task.state is State.COMPOSING and task.total_rows else 0.0
    return round(min(99.0, push * received + (100 - push) * written), 1)


def eta_s(task: Task, now: float) -> int | None:
    """Whole seconds until the file is there, by the pace so far; None while there is no pace."""
    if task.state is State.OPEN:
        so_far = progress_percent(task)
        return math.ceil(max(now - task.created_at, 0.001) * (100 - so_far) / so_far) if so_far else None
    if task.state is not State.COMPOSING or not task.rows_done or not task.started_at:
        return None
    elapsed_s = max(now - task.started_at, 0.001)
    return math.ceil(elapsed_s * max(task.total_rows - task.rows_done, 0) / task.rows_done)
