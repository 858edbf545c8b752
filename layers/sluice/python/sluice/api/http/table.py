"""Makes an export of one body of any length, at flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from sluice.api.http.table_rows import Cut, csv_cuts, ndjson_cuts
from sluice.api.rows import RowShape
from sluice.api.service import Service
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Task
from sluice.ports.store_errors import StoreError
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch


class TableRequest(NamedTuple):
    """What the request says about the table that its body is."""

    format: ExportFormat
    filename: str
    columns: tuple[ColumnSpec, ...] | None
    options: ExportOptions
    expected_rows: int | None
    has_header: bool
    is_csv: bool
    idempotency_key: str | None
    request_id: str
    trace_parent: str


def receive_table(service: Service, tenant: TenantId, request: TableRequest, body: Iterator[bytes]) -> Task:
    """Open, put each batch as soon as it is there, close; returns the sealed row.

    Holds one batch, whatever comes. If anything goes wrong, the end of the
    body included, the export is not sealed: under an idempotency key it stays
    open, so that the same body sent again continues it, and otherwise, since
    nobody knows its id, it is cancelled.
    """
    return _Table(service, tenant, request).receive(body)


class _Table:
    def __init__(self, service: Service, tenant: TenantId, request: TableRequest) -> None:
        self._service = service
        self._tenant = tenant
        self._request = request
        self._ref: TaskRef | None = None
        self._batches = 0
        self._rows = 0

    def receive(self, body: Iterator[bytes]) -> Task:
        try:
            for cut in self._cuts(body):
                self._put(cut)
            assert self._ref is not None  # a reader asks for the shape before its first row, or refuses
            return close_export(self._service.ports, self._ref, CloseRequest(self._batches, self._rows))
        except BaseException:
            self._give_up()
            raise

    def _cuts(self, body: Iterable[bytes]) -> Iterator[Cut]:
        limits = self._service.ports.limits
        if self._request.columns:
            self._open(self._request.columns)
        reads = csv_cuts if self._request.is_csv else ndjson_cuts
        return reads(body, limits, self._shape_for, has_header=self._request.has_header)

    def _shape_for(self, names: list[str] | None) -> RowShape:
        """What rows look like: as declared, or else by the names the body begins with; opens the export by them."""
        if self._ref is None:
            if not names:
                raise SluiceError(
                    ErrorCode.INVALID_REQUEST,
                    "Without names in the body, the columns parameter is needed.",
                    field="columns",
                )
            self._open(tuple(ColumnSpec(name) for name in names))
        assert self._ref is not None
        params = self._service.params_cache.read(self._ref).params
        return RowShape.of(params, "", rows_max=self._service.ports.limits.batch_rows_max)

    def _open(self, columns: tuple[ColumnSpec, ...]) -> None:
        request = self._request
        params = ExportParams(
            format=request.format,
            filename=request.filename,
            columns=columns,
            options=request.options,
            expected_rows=request.expected_rows,
        )
        asked = OpenRequest(params, request.idempotency_key, request.request_id, request.trace_parent)
        task = open_export(self._service.ports, self._tenant, asked).task
        self._service.params_cache.remember(task)
        self._ref = task.ref

    def _put(self, cut: Cut) -> None:
        assert self._ref is not None
        sequence = self._batches + 1
        try:
            put_batch(
                self._service.ports, self._service.params_cache, self._ref, sequence=sequence, batch=cut.to_batch()
            )
        except SluiceError as error:
            raise self._placed(error) from error
        self._batches = sequence
        self._rows += cut.rows

    def _placed(self, error: SluiceError) -> SluiceError:
        """Say where in the body it is: the sender knows rows, and nothing of batches."""
        facts = dict(error.facts)
        row = facts.get("row")
        if isinstance(row, int):
            facts["row"] = row + self._rows
        return SluiceError(error.code, error.detail, **facts)

    def _give_up(self) -> None:
        if self._ref is None:
            return
        ports = self._service.ports
        ports.journal.record(Event.STREAM_ERROR, task_id=self._ref.task_id, batches=self._batches)
        if self._request.idempotency_key is None:
            with suppress(SluiceError, StoreError):
                cancel_export(ports, self._ref)
