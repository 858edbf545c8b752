"""Make an export of a whole table: open it, put every batch in order, close it with what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreError
from sluice.tables.readers.batching import TableBatch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import note_refusal, put_batch


def ingest_table(
    ports: Ports, params_cache: ParamsCache, tenant: TenantId, request: OpenRequest, batches: Iterable[TableBatch]
) -> Task:
    """Open, put each batch as soon as it is there, close; returns the sealed row.

    Holds one batch. If anything goes wrong, ``batches`` included, the export
    is not sealed. Under an idempotency key it stays open, and the same batches
    given again continue it; without one it is cancelled, since the caller does
    not know its id. An error about a row has ``row`` counted from the first of
    its table, whichever batch it is in.
    """
    task = open_export(ports, tenant, request).task
    params = params_cache.remember(task).params
    rows: Counter[int] = Counter()  # stored so far, by the index of the declared table
    stored = 0
    try:
        for read in batches:
            _put(ports, params_cache, task.ref, read, sequence=stored + 1, rows_before=rows[read.sheet])
            stored += 1
            rows[read.sheet] += read.batch.rows
            del read  # its memory, before the next one is read
        sheets = {table.name: rows[index] for index, table in enumerate(params.sheets)}
        return close_export(ports, task.ref, CloseRequest(stored, rows.total(), sheets))
    except BaseException as error:
        ports.journal.record(Event.STREAM_ERROR, task_id=task.task_id, batches=stored)
        if request.idempotency_key is None:
            with suppress(SluiceError, StoreError):
                cancel_export(ports, task.ref)
        elif isinstance(error, SluiceError):
            note_refusal(ports, task.ref, error)
        raise


def _put(
    ports: Ports, params_cache: ParamsCache, ref: TaskRef, read: TableBatch, *, sequence: int, rows_before: int
) -> None:
    """Put one batch; an error about a row of it names the batch too, and its row there."""
    try:
        with read.located(rows_before):
            put_batch(ports, params_cache, ref, sequence=sequence, batch=read.batch, sheet=read.sheet)
    except SluiceError as error:
        row = error.facts.get("row")
        if isinstance(row, int):
            error.facts = {**error.facts, "batch": sequence, "batch_row": row - rows_before}
        raise
