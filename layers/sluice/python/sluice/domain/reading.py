"""The steps of a task whose rows no sender sends: a worker of ours reads them from a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Guard, Transition, content, leased, open_sealed, open_task
from sluice.domain.limits import Timings
from sluice.domain.manifest import Claim, Manifest
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Cursor, PastReading, Readings, encode_cursor
from sluice.domain.task import State, Task, TaskFields


def open_waiting(
    ref: TaskRef, params: ExportParams, *, now: float, timings: Timings, request_id: str = "", trace_parent: str = ""
) -> Task:
    """A new row whose rows a reader gets from ``params.pulled``; it is due when that should have begun."""
    opened = open_task(ref, params, now=now, timings=timings, request_id=request_id, trace_parent=trace_parent)
    return msgspec.structs.replace(opened, state=State.WAITING, due_at=now + timings.trigger_grace_s)


def open_over(
    source: Task,
    ref: TaskRef,
    params: ExportParams,
    manifest: Manifest,
    *,
    now: float,
    timings: Timings,
    **opened_by: str,
) -> Task:
    """As ``open_sealed``, over the chunks of ``source``: the row says of which moments their rows are."""
    made = open_sealed(ref, params, manifest, now=now, timings=timings, **opened_by)
    read = {name: getattr(source, name) for name in ("read_from", "read_until", "read_at", "readings")}
    return msgspec.structs.replace(made, **read)


def dataset_facts(task: Task) -> dict[str, str]:
    """Which dataset's rows a task has, and for whom they were read: what its end is known by in an audit."""
    pulled = task.params.pulled if task.params else None
    return {"dataset": pulled.dataset, "user": pulled.user} if pulled else {}


class Reading(NamedTuple):
    """What the claim of a batch compares and sets that a reader of ours adds, and no sender."""

    epoch: int
    """Of the reader, whose lease the row is under."""
    cursor: str
    """How far it has read with this batch."""
    lease_until: float
    due_at: float
    read_at: float = 0
    """As in the row."""
    filtered: int = 0
    """As ``rows_filtered`` in the row, with this batch."""

    @property
    def guard(self) -> Guard:
        return Guard(state=State.READING, epoch=self.epoch)

    def fields(self) -> TaskFields:
        """What it sets, beside what every claim does."""
        return {
            "cursor": self.cursor,
            "read_at": self.read_at,
            "lease_until": self.lease_until,
            "rows_filtered": self.filtered,
        }


def read_on(epoch: int, cursor: str, *, read_at: float = 0, filtered: int = 0, now: float, timings: Timings) -> Reading:
    """Show how far a reader is, and extend its lease, with a batch."""
    lease = leased(now, timings)
    return Reading(epoch, cursor, lease["lease_until"], lease["due_at"], read_at, filtered)


def next_sequence(task: Task) -> int:
    """Of the next batch that is read."""
    return task.first_sequence + task.batches_received - task.readings.batches


def moments_of(task: Task) -> list[tuple[float, int]]:
    """When rows were as they were read, and how many of each moment, in the order of the file."""
    now = (task.read_at, task.rows_received - task.readings.rows)
    return [*((one.read_at, one.rows) for one in task.readings.past), *([now] if task.read_at else [])]


def plan_readings(task: Task, bounds: Sequence[Cursor], *, epoch: int, now: float, timings: Timings) -> Transition:
    """Fix the last key of each reading, before the first of them."""
    fields: TaskFields = {"readings": Readings(bounds=tuple(map(encode_cursor, bounds)))}
    return _between_readings(task, fields, epoch=epoch, now=now, timings=timings)


def read_anew(task: Task, *, epoch: int, now: float, timings: Timings) -> Transition:
    """Leave out what the reading under way has read, of another moment than what comes; numbers of batches go on."""
    past = task.readings
    fields: TaskFields = {
        "first_sequence": next_sequence(task),
        "cursor": "",
        "read_at": 0,
        "batches_received": past.batches,
        "rows_received": past.rows,
        "bytes_received": past.size,
        "rows_filtered": past.filtered,
    }
    return _between_readings(task, fields, epoch=epoch, now=now, timings=timings)


def end_reading(
    task: Task,
    *,
    read_at: float = 0,
    is_at_bound: bool = False,
    orphan: Claim | None = None,
    epoch: int,
    now: float,
    timings: Timings,
) -> Transition:
    """Keep what the reading under way has read. The next one begins behind it, at its bound or before.

    ``read_at`` is of one that had no rows. ``orphan`` is its last batch, where that is left out.
    """
    past = task.readings
    batches, rows, size = task.batches_received, task.rows_received, task.bytes_received
    if orphan is not None:
        batches, rows, size = batches - 1, rows - orphan.rows, size - orphan.size
    over = PastReading(
        task.read_at or read_at,
        task.first_sequence,
        batches - past.batches,
        rows - past.rows,
        size - past.size,
        task.rows_filtered - past.filtered,
    )
    after, bounds = (past.bounds[0], past.bounds[1:]) if is_at_bound else (task.cursor or past.after, past.bounds)
    fields: TaskFields = {
        "first_sequence": next_sequence(task),
        "cursor": "",
        "read_at": 0,
        "readings": Readings(after, bounds, (*past.past, over)),
        "batches_received": batches,
        "rows_received": rows,
        "bytes_received": size,
    }
    return _between_readings(task, fields, epoch=epoch, now=now, timings=timings)


def _between_readings(task: Task, fields: TaskFields, *, epoch: int, now: float, timings: Timings) -> Transition:
    """``rev`` fences it too: a request that lands late would take the batches that came since for those before."""
    wanted = msgspec.structs.replace(task, **fields)
    return Transition(
        guard=Guard(state=State.READING, rev=task.rev, epoch=epoch),
        target=State.READING,
        fields={**fields, **leased(now, timings)},
        is_mine=lambda row: (
            (row.epoch, row.cursor) == (epoch, "")
            and (row.first_sequence, row.readings) == (wanted.first_sequence, wanted.readings)
        ),
    )


def hand_over(epoch: int, *, now: float) -> Transition:
    """Let the next reader go on behind what was read. This one's time is over, and nothing counts against the task."""
    return Transition(
        guard=Guard(state=State.READING, epoch=epoch),
        target=State.WAITING,
        fields={"lease_until": 0, "due_at": now},
        is_mine=lambda row: row.state is State.WAITING and row.epoch == epoch,
    )


class ReadSpan(NamedTuple):
    """Between which times all moments lie that rows of a source are of."""

    since: float
    until: float


def seal_read(
    task: Task, manifest: Manifest, span: ReadSpan, *, read_at: float = 0, epoch: int, now: float, timings: Timings
) -> Transition:
    """Fix the content once the source has no more rows; composing begins with no attempt behind it.

    ``read_at`` is of the last reading, which may have had none.
    """
    fields = content(task.live_params, manifest, now=now, timings=timings)
    return Transition(
        guard=Guard(state=State.READING, epoch=epoch),
        target=State.SEALED,
        fields={
            **fields,
            "read_from": span.since,
            "read_until": span.until,
            "read_at": read_at,
            "lease_until": 0,
            "strikes": 0,
            "deaths": 0,
            "died_at": "",
        },
        is_mine=lambda row: row.man_sha == fields["man_sha"],
    )
