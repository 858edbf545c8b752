"""Make an export of a whole table: open it, put every batch in order, close it with what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.params import ExportParams
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
    sender = _Sender(ports, params_cache, task.ref)
    try:
        for read in batches:
            sender.put(read)
            del read  # its memory, before the next one is read
        return close_export(ports, task.ref, sender.totals(params))
    except BaseException as error:
        ports.journal.record(Event.STREAM_ERROR, task_id=task.task_id, batches=sender.batches)
        if request.idempotency_key is None:
            with suppress(SluiceError, StoreError):
                cancel_export(ports, task.ref)
        elif isinstance(error, SluiceError):
            note_refusal(ports, task.ref, error)
        raise


class _Sender:
    """Numbers the batches of one table and counts what was stored."""

    def __init__(self, ports: Ports, params_cache: ParamsCache, ref: TaskRef) -> None:
        self._ports = ports
        self._params_cache = params_cache
        self._ref = ref
        self._rows: Counter[int] = Counter()
        """By the index of the declared table."""
        self.batches = 0

    def put(self, read: TableBatch) -> None:
        sequence = self.batches + 1
        rows_before = self._rows[read.sheet]
        try:
            with read.located(rows_before):
                put_batch(
                    self._ports, self._params_cache, self._ref, sequence=sequence, batch=read.batch, sheet=read.sheet
                )
        except SluiceError as error:
            row = error.facts.get("row")
            if isinstance(row, int):
                error.facts = {**error.facts, "batch": sequence, "batch_row": row - rows_before}
            raise
        self.batches = sequence
        self._rows[read.sheet] += read.batch.rows

    def totals(self, params: ExportParams) -> CloseRequest:
        sheets = {table.name: self._rows[index] for index, table in enumerate(params.sheets)}
        return CloseRequest(self.batches, self._rows.total(), sheets)
