"""Read the rows of a task from its source, store them as batches, and seal it: at most one attempt for each call."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import repeat
from typing import NamedTuple

from sluice.domain.attempts import PULL, PullProgress, has_attempts_left, is_leased
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef, chunk_key
from sluice.domain.manifest import Claim, Manifest
from sluice.domain.pulled import Cursor, Pulled, decode_cursor
from sluice.domain.reading import ReadSpan, read_anew, read_on, seal_read
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.retry import settle
from sluice.ports.source import Slice, Source
from sluice.tables.batch import Batch
from sluice.tables.formats import FORMATS
from sluice.tables.readers.batching import located
from sluice.tables.values.masks import find_masks, masked
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import (
    Fenced,
    Lease,
    Outcome,
    acquire,
    end,
    fail_exhausted,
    renew_if_due,
    run_attempt,
)
from sluice.usecases.pulling.open_pull import source_errors
from sluice.usecases.reading.read_task import find_task, note_task
from sluice.usecases.sending.close_export import put_manifest
from sluice.usecases.sending.put_batch import check_sequence, checked_chunk

TRANSIENT_CODES = frozenset({ErrorCode.SOURCE_UNAVAILABLE, ErrorCode.STORE_UNAVAILABLE})
"""Codes that another attempt may not meet."""

PullLease = Lease[PullProgress]


def read_source(ports: Ports, ref: TaskRef, *, owner: str = "") -> Outcome:
    """Take the task if it is free, read what is left of its source, and seal it, which triggers its composer.

    Repeatable, late, doubled and concurrent calls are harmless: one attempt
    reads at a time, and how far it has read changes with each batch, in one
    update. A later attempt goes on behind that, or begins anew where all rows
    have to be of one moment. Raises only what it did not foresee, after giving
    the task back.
    """
    task = ports.tasks.read(ref)
    if task is not None:
        note_task(task)
    verdict = _judge(ports, task)
    if verdict is not None or task is None:
        outcome = verdict or Outcome.DROPPED
        ports.journal.record(Event.MANIFEST_DROPPED, task_id=ref.task_id, tenant=ref.tenant, outcome=outcome.value)
        return outcome
    if not has_attempts_left(task, now=ports.clock.now(), timings=ports.timings):
        return fail_exhausted(ports, task)
    lease = acquire(ports, PULL, task, owner=owner)
    if lease is None:
        return Outcome.BUSY
    work, finish = partial(_read_all, ports, lease), partial(_seal, ports, lease)
    outcome, _ = run_attempt(ports, lease, work, finish, transient=TRANSIENT_CODES)
    return outcome


def read_and_compose(ports: Ports, ref: TaskRef, *, owner: str = "") -> Outcome:
    """As ``read_source``, and then as ``compose_export``: who has read the rows need not wait for another to begin."""
    outcome = read_source(ports, ref, owner=owner)
    task = ports.tasks.read(ref)
    if outcome not in {Outcome.COMPLETED, Outcome.DROPPED} or task is None or task.state is not State.SEALED:
        return outcome
    return compose_export(ports, ManifestRef(ref, task.man_sha), owner=owner)


def _judge(ports: Ports, task: Task | None) -> Outcome | None:
    """Why the call needs no work; None when it does."""
    if task is None or task.state not in {PULL.waiting, PULL.running}:
        return Outcome.DROPPED
    if task.state is PULL.running and is_leased(task, now=ports.clock.now(), timings=ports.timings):
        return Outcome.BUSY
    return None


class _Read(NamedTuple):
    """All batches of a source, and of which moments their rows are."""

    manifest: Manifest
    span: ReadSpan


def _read_all(ports: Ports, lease: PullLease) -> _Read:
    """Store what is left of the source."""
    task = find_task(ports, lease.ref)
    if task.epoch != lease.epoch:
        raise Fenced
    pulled = _pulled_of(task)
    if pulled.consistency == "snapshot" and task.batches_received:
        step = read_anew(task, epoch=lease.epoch, now=ports.clock.now(), timings=ports.timings)
        if not apply_transition(ports, task.ref, step):
            raise Fenced
        task = find_task(ports, lease.ref)
    sequence, rows = task.first_sequence + task.batches_received, task.rows_received
    is_snapshot, first_at, began_at = pulled.consistency == "snapshot", 0.0, ports.clock.now()
    with source_errors(ports, pulled):
        source = ports.open_source(pulled)
        masks = find_masks(pulled.masks, ports.find_key)
        with closing(_slices(ports, lease, source, decode_cursor(task.cursor))) as slices:
            for read in slices:
                first_at = first_at or ports.clock.now()
                part = read._replace(columns=masked(read.columns, masks))
                _store(ports, lease, task, part, sequence=sequence, rows_before=rows)
                sequence, rows = sequence + 1, rows + part.rows
    claimed = ports.tasks.read_claims(lease.ref)
    if claimed is None:
        raise Fenced
    manifest = Manifest.seal(lease.ref, claimed.valid())
    FORMATS[task.live_params.format].check_rows(task.live_params, (manifest.rows,), ports.limits)
    now = ports.clock.now()
    # All rows of one moment, which is over when the first are there; or of each moment from the first attempt on.
    span = ReadSpan(began_at, first_at or now) if is_snapshot else ReadSpan(task.started_at, now)
    return _Read(manifest, span)


def _pulled_of(task: Task) -> Pulled:
    pulled = task.live_params.pulled
    if pulled is None:
        raise SluiceError(ErrorCode.TASK_DAMAGED, column="params")
    return pulled


def _slices(ports: Ports, lease: PullLease, source: Source, after: Cursor | None) -> Generator[Slice]:
    """Read the source, and keep the lease while it takes its time: its calls are made one by one, by other threads."""
    keep = partial(renew_if_due, ports, lease)
    with ExitStack() as opened:
        slices: list[Iterator[Slice]] = []

        def step(_: None) -> Slice | None:
            if not slices:
                slices.append(opened.enter_context(source.reading(after)))
            return next(slices[0], None)

        parts = opened.enter_context(closing(ports.source_pool.map(step, repeat(None), concurrency=1, on_wait=keep)))
        for part in parts:
            if part is None:
                return
            yield part


def _store(ports: Ports, lease: PullLease, task: Task, part: Slice, *, sequence: int, rows_before: int) -> None:
    """Store a slice as a batch and claim it, with how far was read, if the task is still ours."""
    params, limits = task.live_params, ports.limits
    check_sequence(sequence, limits)
    pulled = _pulled_of(task)
    rows_max = min(limits.rows_max, pulled.rows_max or limits.rows_max)
    if rows_before + part.rows > rows_max:
        raise SluiceError(ErrorCode.TOO_MANY_ROWS, rows_max=rows_max)
    with located((), rows_before):
        chunk = checked_chunk(Batch.of_columns(part.columns, part.rows), params, limits)
    ports.objects.put(chunk_key(task.ref, sequence, chunk.sha), chunk.body)
    claim = Claim(sequence, chunk.sha, chunk.rows, chunk.size)

    def take() -> bool | None:
        now = ports.clock.now()
        reading = read_on(lease.epoch, part.cursor, now=now, timings=ports.timings)
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


def _seal(ports: Ports, lease: PullLease, read: _Read) -> None:
    """Fix the content, and put the manifest, which triggers the composer."""
    task, manifest = find_task(ports, lease.ref), read.manifest
    step = seal_read(task, manifest, read.span, epoch=lease.epoch, now=ports.clock.now(), timings=ports.timings)
    end(ports, lease, step, outcome=Outcome.COMPLETED.value)
    ports.journal.record(
        Event.TASK_SEALED,
        task_id=task.task_id,
        tenant=task.tenant,
        batches=len(manifest.chunks),
        rows=manifest.rows,
        bytes=manifest.size,
    )
    put_manifest(ports, lease.ref, manifest)
