"""Store what was read and changed as batches of its task, each with how far the source was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sluice.domain.attempts import PullProgress
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import chunk_key
from sluice.domain.manifest import Claim
from sluice.domain.pulled import Pulled, encode_cursor
from sluice.domain.reading import next_sequence, read_on
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.retry import settle
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import Chunk
from sluice.tables.readers.batching import located
from sluice.usecases.lease import Fenced, Lease
from sluice.usecases.pulling.process_rows import Portion
from sluice.usecases.sending.put_batch import check_sequence, checked_chunk

PullLease = Lease[PullProgress]
DIVERTED_ROWS = 30_000
"""Of one batch of refused rows. A reading that goes on behind its cursor has fewer at a time, so that there is one."""


def pulled_of(task: Task) -> Pulled:
    pulled = task.live_params.pulled
    if pulled is None:
        raise SluiceError(ErrorCode.TASK_DAMAGED, column="params")
    return pulled


class Before(NamedTuple):
    """What there is before a batch."""

    sequence: int
    """Of the batch itself."""
    rows: int
    filtered: int
    cursor: str
    """As in the row."""


class DivertedRows:
    """The rows that were refused, in batches of a table of their own."""

    def __init__(self, ports: Ports, lease: PullLease, pulled: Pulled) -> None:
        self._ports, self._lease, self._pulled = ports, lease, pulled
        self._rows = 0
        claimed = ports.tasks.read_claims(lease.ref) if pulled.diverts else None
        if claimed is not None:
            self._rows = sum(claim.rows for claim in claimed.valid() if claim.sheet)

    def store(self, task: Task, rows: Sequence[tuple[str | None, ...]], before: Before, *, read_at: float) -> Before:
        """Store refused rows before the batch of the others. Raises TOO_MANY_REFUSED.

        The batch of the others moves the cursor. Where it does not come, the next attempt reads these rows again, and
        leaves this batch out.
        """
        self._rows += len(rows)
        if 0 <= self._pulled.diverted_max < self._rows:
            raise SluiceError(ErrorCode.TOO_MANY_REFUSED, refused_max=self._pulled.diverted_max, reason=rows[0][-1])
        for start in range(0, len(rows), DIVERTED_ROWS):
            part = rows[start : start + DIVERTED_ROWS]
            chunk = checked_chunk(Batch.of_rows(part, len(part[0])), task.live_params, self._ports.limits, sheet=1)
            _put(self._ports, self._lease, task, chunk, before, sheet=1, read_at=read_at)
            before = before._replace(sequence=before.sequence + 1, rows=before.rows + len(part))
        return before

    def check_share(self, rows_read: int) -> None:
        """Raise TOO_MANY_REFUSED for too large a share of all rows."""
        if self._rows > self._pulled.diverted_share_max * rows_read:
            share = self._pulled.diverted_share_max
            raise SluiceError(ErrorCode.TOO_MANY_REFUSED, refused=self._rows, rows=rows_read, share_max=share)


def find_orphan(ports: Ports, task: Task) -> Claim | None:
    """The batch of refused rows behind which the batch of the others did not come."""
    last = ports.tasks.read_claim(task.ref, next_sequence(task) - 1)
    return last if last is not None and last.sheet else None


def put_portion(ports: Ports, lease: PullLease, task: Task, part: Portion, before: Before, *, read_at: float) -> Before:
    """Store a portion as a batch and claim it, with how far was read; gives what there is before the next."""
    params, limits = task.live_params, ports.limits
    rows_max = min(limits.rows_max, pulled_of(task).rows_max or limits.rows_max)
    if before.rows + part.rows > rows_max:
        raise SluiceError(ErrorCode.TOO_MANY_ROWS, rows_max=rows_max)
    with located((), before.rows):
        chunk = checked_chunk(Batch.of_columns(part.columns, part.rows), params, limits)
    moved = before._replace(filtered=before.filtered + part.filtered, cursor=encode_cursor(part.cursor))
    _put(ports, lease, task, chunk, moved, read_at=read_at)
    return moved._replace(sequence=moved.sequence + 1, rows=moved.rows + part.rows)


def _put(
    ports: Ports, lease: PullLease, task: Task, chunk: Chunk, moved: Before, *, sheet: int = 0, read_at: float
) -> None:
    """Store a chunk and claim it, with how far was read, if the task is still ours."""
    sequence = moved.sequence
    # What a reading that was begun anew has stored does not count.
    check_sequence(task.batches_received + 1 + sequence - next_sequence(task), ports.limits)
    ports.objects.put(chunk_key(task.ref, sequence, chunk.sha), chunk.body)
    claim = Claim(sequence, chunk.sha, chunk.rows, chunk.size, sheet)

    def take() -> bool | None:
        now = ports.clock.now()
        reading = read_on(
            lease.epoch, moved.cursor, read_at=read_at, filtered=moved.filtered, now=now, timings=ports.timings
        )
        return ports.tasks.claim(task.ref, claim, at=now, due_at=reading.due_at, reading=reading) or None

    def read_back(lost: bool) -> bool | None:  # noqa: FBT001 - as settle gives it
        # The claim and the row are looked at in this order: once taken by another epoch, none of ours can come.
        is_there = ports.tasks.read_claim(task.ref, sequence) == claim if lost else False
        row = ports.tasks.read(task.ref)
        if row is None or row.state is not State.READING or row.epoch != lease.epoch:
            raise Fenced
        return True if is_there else None

    settle(ports, take, read_back)
    now = ports.clock.monotonic()
    lease.beat_at = lease.moved_at = now
    ports.journal.record(
        Event.BATCH_PROCESSED,
        task_id=task.task_id,
        tenant=task.tenant,
        sequence=sequence,
        rows=chunk.rows,
        bytes=chunk.size,
    )
