"""The steps of a task whose rows no sender sends: a worker of ours reads them from a source."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Guard, Transition, content, leased, open_task
from sluice.domain.limits import Timings
from sluice.domain.manifest import Manifest
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Cursor, encode_cursor
from sluice.domain.task import State, Task


def open_waiting(
    ref: TaskRef, params: ExportParams, *, now: float, timings: Timings, request_id: str = "", trace_parent: str = ""
) -> Task:
    """A new row whose rows a reader gets from ``params.pulled``; it is due when that should have begun."""
    opened = open_task(ref, params, now=now, timings=timings, request_id=request_id, trace_parent=trace_parent)
    return msgspec.structs.replace(opened, state=State.WAITING, due_at=now + timings.trigger_grace_s)


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

    @property
    def guard(self) -> Guard:
        return Guard(state=State.READING, epoch=self.epoch)


def read_on(epoch: int, cursor: Cursor, *, now: float, timings: Timings) -> Reading:
    """Show how far a reader is, and extend its lease, with a batch."""
    lease = leased(now, timings)
    return Reading(epoch, encode_cursor(cursor), lease["lease_until"], lease["due_at"])


def read_anew(task: Task, *, epoch: int, now: float, timings: Timings) -> Transition:
    """Leave out what was read, of another moment than what comes; the numbers of batches go on.

    ``rev`` fences it too: a request that lands late would leave out the batches that came since.
    """
    first = task.first_sequence + task.batches_received
    return Transition(
        guard=Guard(state=State.READING, rev=task.rev, epoch=epoch),
        target=State.READING,
        fields={
            "first_sequence": first,
            "cursor": "",
            "batches_received": 0,
            "rows_received": 0,
            "bytes_received": 0,
            **leased(now, timings),
        },
        is_mine=lambda row: row.epoch == epoch and row.first_sequence == first and not row.cursor,
    )


class ReadSpan(NamedTuple):
    """Between which times all moments lie that rows of a source are of."""

    since: float
    until: float


def seal_read(
    task: Task, manifest: Manifest, span: ReadSpan, *, epoch: int, now: float, timings: Timings
) -> Transition:
    """Fix the content once the source has no more rows; composing begins with no attempt behind it."""
    fields = content(task.live_params, manifest, now=now, timings=timings)
    return Transition(
        guard=Guard(state=State.READING, epoch=epoch),
        target=State.SEALED,
        fields={
            **fields,
            "read_from": span.since,
            "read_until": span.until,
            "lease_until": 0,
            "strikes": 0,
            "deaths": 0,
            "died_at": "",
        },
        is_mine=lambda row: row.man_sha == fields["man_sha"],
    )
