"""Load the rows of a sealed task into a table of another system: one attempt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TypeVar

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.manifest import Claim, Manifest
from sluice.domain.run import ledger_id
from sluice.domain.target import Receipt, TableTarget
from sluice.domain.task import Result, State, Task
from sluice.ports.bundle import Ports
from sluice.ports.sink import Delivery, RowsRefused, Sink, SinkError, SinkFenced, SinkUnavailable
from sluice.ports.store_errors import StoreError
from sluice.tables.batch import Batch
from sluice.usecases.calls_outside import called
from sluice.usecases.composing.read_chunks import picked_from, read_chunks
from sluice.usecases.composing.write_result import ComposeLease
from sluice.usecases.lease import Fenced, renew_if_due

Done = TypeVar("Done")


def load_rows(ports: Ports, lease: ComposeLease, task: Task, target: TableTarget, manifest: Manifest) -> Result:
    """Load what the target does not hold yet, and have all of it seen there.

    A chunk is loaded together with its entry in the target's own ledger, so an
    attempt after one that died goes on behind what is there, and an attempt
    that was overtaken loads nothing more. Memory is one chunk. Raises ``Fenced``,
    TARGET_UNAVAILABLE for another attempt to come, TARGET_INVALID and
    TARGET_REFUSES; where none is to come, what was loaded aside is removed.
    """
    with _target_errors(ports, task, target), closing(ports.open_sink(target)) as sink:
        try:
            receipt = _load_all(ports, lease, task, sink, manifest)
        except Exception as error:
            if _is_for_good(ports, task, error):
                _abandon_quietly(ports, task, sink)
            raise
    if receipt.rows != manifest.rows:
        detail = "The target does not have as many rows as were loaded."
        raise SluiceError(ErrorCode.TARGET_INVALID, detail, rows_loaded=manifest.rows, rows_there=receipt.rows)
    return Result("", 0, "", "", receipt.rows, {})


def _load_all(ports: Ports, lease: ComposeLease, task: Task, sink: Sink, manifest: Manifest) -> Receipt:
    keep = partial(renew_if_due, ports, lease)
    params = task.live_params
    rows, chunks = manifest.rows, len(manifest.chunks)
    delivery = Delivery(ledger_id(task.task_id, params.source_created_at), lease.epoch, params.columns, rows, chunks)
    there = called(ports, partial(sink.begin, delivery), keep=keep, interrupt=sink.interrupt)
    lease.progress.rows_done = sum(claim.rows for claim in manifest.chunks if claim.sequence in there)
    missing = tuple(claim for claim in manifest.chunks if claim.sequence not in there)
    left = msgspec.structs.replace(manifest, chunks=missing)
    chunks_read = read_chunks(
        ports.objects, left, pool=ports.pool, prefetched=ports.limits.prefetched_chunks, on_wait=keep
    )
    with closing(chunks_read):
        for claim, batch in zip(missing, picked_from(chunks_read, params.picked), strict=True):
            called(ports, partial(_load, sink, claim, batch), keep=keep, interrupt=sink.interrupt)
            lease.progress.rows_done += claim.rows
            keep()
    return called(ports, sink.finish, keep=keep, interrupt=sink.interrupt)


def _load(sink: Sink, claim: Claim, batch: Batch) -> None:
    try:
        sink.load(claim, batch.to_columns())
    except RowsRefused as error:
        detail = f"The table does not take a row as it is: {error.reason}."
        column = {"column": error.column} if error.column else {}
        facts = {"batch": claim.sequence, "rows": [row + 1 for row in error.rows], **column}
        raise SluiceError(ErrorCode.TARGET_REFUSES, detail, **facts) from error


@contextmanager
def _target_errors(ports: Ports, task: Task, target: TableTarget) -> Iterator[None]:
    """Say what a caller may know of an error of a target; its operator finds the rest in the log."""
    try:
        yield
    except SinkFenced:
        raise Fenced from None
    except SinkError as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=task.task_id, reason=str(error))
        is_away = isinstance(error, SinkUnavailable)
        code = ErrorCode.TARGET_UNAVAILABLE if is_away else ErrorCode.TARGET_INVALID
        raise SluiceError(code, connection=target.connection, table=target.table) from error


def _is_for_good(ports: Ports, task: Task, error: Exception) -> bool:
    """Whether no attempt of this delivery comes after ``error``."""
    if isinstance(error, Fenced):
        with suppress(StoreError, SluiceError):
            row = ports.tasks.read(task.ref)
            return row is not None and row.state is State.CANCELLED
        return False
    if isinstance(error, SinkError):
        return not isinstance(error, SinkUnavailable | SinkFenced)
    return isinstance(error, SluiceError) and error.code is ErrorCode.TARGET_REFUSES


def _abandon_quietly(ports: Ports, task: Task, sink: Sink) -> None:
    try:
        sink.abandon()
    except SinkError as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=task.task_id, reason=str(error))
