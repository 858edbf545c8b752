"""The operation that takes a batch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from sluice.api.error_status import record_rejected_batch
from sluice.api.http.bodies.body import CSV, JSON, NDJSON, PROTOBUF, Media, media_of, read_body
from sluice.api.http.bodies.models import BatchReceiptView
from sluice.api.http.errors import logged
from sluice.api.http.operation import Answer, HttpCall, HttpResources, Operation, RequestBody, json_response
from sluice.api.http.routes.openapi import (
    BATCH_CODES,
    BODY_CODES,
    CONTENT_ENCODING,
    CONTENT_SHA256,
    JSON_ROWS,
    TASK_CODES,
    TEXT_ROWS,
)
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef
from sluice.domain.limits import Limits
from sluice.tables.readers.batching import Hints, TableBatch, TableReader
from sluice.tables.readers.csv import CsvOptions
from sluice.tables.readers.json import read_json
from sluice.tables.readers.kinds import TableKind, open_reader
from sluice.tables.readers.lines import OnLongRow, no_matter
from sluice.tables.readers.protobuf import read_protobuf
from sluice.tables.readers.records import RowShape
from sluice.usecases.sending.put_batch import PreparedBatch, check_sequence, prepare_batch, store_batch

HINTS = Hints(
    no_header="without such a line, send Content-Type: text/csv; header=absent",
    names="the columns parameter names them",
    kind="Content-Type says which it is",
    delimiter='text/csv; delimiter=";" names another',
)
KINDS = {CSV: TableKind.CSV, NDJSON: TableKind.NDJSON, JSON: TableKind.JSON}
_SEQUENCE = re.compile(r"[0-9]{1,20}", re.ASCII)


class BatchQuery(Struct, frozen=True, kw_only=True):
    sheet: Annotated[
        str, Meta(description="The declared sheet that the rows belong to; left out in an export of one table.")
    ] = ""


async def put_rows(call: HttpCall[BatchQuery]) -> Response:
    """Refuse what can be refused before the body is read; then read, decode and store it."""
    resources, ref = call.resources, call.task_ref
    sequence = read_sequence(call.request.path_params["sequence"])
    try:
        check_sequence(sequence, call.ports.limits)
        media = media_of(call.request, allowed=(JSON, NDJSON, CSV, PROTOBUF))
        await call.run(_check_sheet, resources, ref, call.query.sheet)
        with resources.body_budget.reserve(call.principal) as reserved:
            body = await read_body(
                call.request,
                reserved,
                bytes_max=resources.body_bytes_max,
                timeouts=resources.body_timeouts,
                turn=call.unpacking_turn,
            )
            prepared = await call.decode(_prepare, call, media, body, sequence)
            call.check_key()  # a body may have taken minutes
            receipt = await call.run(store_batch, resources.ports, ref, prepared)
    except SluiceError as error:
        record_rejected_batch(error, ref, sequence, call.ports.journal)
        raise logged(error) from error
    return json_response(BatchReceiptView(receipt.sequence, receipt.rows, receipt.sha, receipt.replayed))


def read_sequence(text: str) -> int:
    """Read the sequence of a path. Raises SEQ_OUT_OF_RANGE for anything but digits."""
    if not _SEQUENCE.fullmatch(text):
        raise SluiceError(ErrorCode.SEQ_OUT_OF_RANGE)
    return int(text)


def _check_sheet(resources: HttpResources, ref: TaskRef, sheet: str) -> None:
    """Raise where the task takes no such rows. Keeps nothing: columns may be megabytes, and a body takes minutes."""
    resources.service.params_cache.read(ref).params.find_sheet(sheet)


def _prepare(call: HttpCall[BatchQuery], media: Media, body: bytes, sequence: int) -> PreparedBatch:
    """Read, check and encode the rows in one turn: what a batch costs the processor is here."""
    params_cache, ref, limits = call.resources.service.params_cache, call.task_ref, call.ports.limits
    shape = RowShape.of(params_cache.read(ref).params, call.query.sheet, limits)
    read = read_rows(body, media, shape, limits, sequence=sequence)
    with read.located():
        batch, sheet = read.batch, read.sheet
        return prepare_batch(call.ports, params_cache, ref, sequence=sequence, batch=batch, sheet=sheet)


def read_rows(body: bytes, media: Media, shape: RowShape, limits: Limits, *, sequence: int) -> TableBatch:
    """Read the rows of one batch. Raises what the type's reader raises; ``row`` is counted within the batch."""
    match media.kind:
        case "application/json":
            return TableBatch(read_json(body, shape), shape.sheet)
        case "application/x-protobuf":
            return TableBatch(read_protobuf(body, shape, sequence=sequence), shape.sheet)
        case _:
            return open_table((body,), media, limits, shape.names).batch(shape)


def open_table(
    body: Iterable[bytes],
    media: Media,
    limits: Limits,
    names: tuple[str, ...] = (),
    *,
    on_long_row: OnLongRow = no_matter,
) -> TableReader:
    """Begin to read a table, from as much of the body as has its header or first row. ``names`` are those declared."""
    written = CsvOptions(delimiter=media.delimiter, has_header=media.has_header, names=names)
    return open_reader(body, KINDS[media.kind], limits, options=written, hints=HINTS, on_long_row=on_long_row)


EXAMPLES: Mapping[str, object] = {
    JSON: [{"id": 1, "customer": "王伟", "paid": True}, {"id": 202503140000000123, "customer": "O'Neil, John"}],
    NDJSON: '{"id": 1, "customer": "王伟", "paid": true}\n{"id": 202503140000000123, "customer": "O\'Neil, John"}\n',
    CSV: 'id,customer,paid\r\n1,王伟,true\r\n202503140000000123,"O\'Neil, John",\r\n',
}
"""Two rows of an order table, as each kind of body has them."""

OPERATIONS = (
    Operation(
        id="putBatch",
        method="PUT",
        path="/v1/exports/{task_id}/batches/{sequence}",
        summary="Put a batch of rows",
        endpoint=put_rows,
        scope=Scope.WRITE,
        query=BatchQuery,
        headers=(CONTENT_SHA256, CONTENT_ENCODING),
        body=RequestBody(
            {JSON: JSON_ROWS, NDJSON: TEXT_ROWS, CSV: TEXT_ROWS, PROTOBUF: {"type": "string", "format": "binary"}},
            examples=EXAMPLES,
        ),
        answers={200: Answer("The batch is stored and will be in the file.", {JSON: BatchReceiptView})},
        codes=(*BODY_CODES, *TASK_CODES, *BATCH_CODES),
    ),
)
