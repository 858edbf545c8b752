"""The operation that takes a whole table in one request: opened, cut into batches, closed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated

import msgspec
from anyio import from_thread, to_thread
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from sluice.api.http.bodies.body import (
    CSV,
    JSON,
    NDJSON,
    BodyDigest,
    Media,
    body_blocks,
    make_gunzip,
    media_of,
    refuse_packed,
)
from sluice.api.http.errors import invalid_request, request_id_of
from sluice.api.http.operation import Answer, HttpCall, Operation, RequestBody
from sluice.api.http.responses import task_path, task_response
from sluice.api.http.routes.batches import EXAMPLES, open_table
from sluice.api.http.routes.exports import idempotency_key_of
from sluice.api.http.routes.openapi import (
    BATCH_CODES,
    BODY_CODES,
    CLOSE_CODES,
    CONTENT_ENCODING,
    CONTENT_SHA256,
    IDEMPOTENCY_KEY,
    JSON_ROWS,
    TABLE_CODES,
    TASK_HEADERS,
    TEXT_ROWS,
)
from sluice.api.http.server.middleware import TRACE_PARENT_KEY
from sluice.api.task_view import TaskView
from sluice.domain.api_key import Scope
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.task import Task
from sluice.tables.readers.batching import TableBatch
from sluice.tables.readers.gunzip import Gunzip
from sluice.tables.readers.lines import OnLongRow
from sluice.tables.readers.records import RowShape
from sluice.tables.readers.typed_table import DetectedTable
from sluice.usecases.sending.ingest_table import ingest_table
from sluice.usecases.sending.open_export import OpenRequest

_PART = r"(?:[^\\,:]|\\.)*+"
_COLUMN = re.compile(rf"(?P<name>{_PART})(?::(?P<type>{_PART}))?+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class TableQuery(ExportOptions, frozen=True, kw_only=True):
    """What the table's file is to be; every option of the file may stand beside these."""

    format: Annotated[ExportFormat, Meta(description="The format of the file.")]
    filename: Annotated[str, Meta(description="The name the file is saved under.")] = ""
    columns: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Names and types, such as `id:number,name,paid:boolean`; a type that is not given is string, and a "
                "backslash takes a comma or colon into a name. May be repeated. Without it the CSV header, or the "
                "names of the first NDJSON object, are the columns, all of them strings."
            )
        ),
    ] = ()
    infer: Annotated[
        bool,
        Meta(
            description=(
                "Where `columns` is left out: take columns for numbers, dates or booleans where all of the first rows "
                "are, and are shown as they were sent. Never those with leading zeros, more than 15 digits or another "
                "offset than UTC's; what comes later and would be shown otherwise is kept as text and counted, but "
                "refused in Parquet, where a column has one type and numbers are texts as sent."
            )
        ),
    ] = False
    expected_rows: Annotated[
        Annotated[int, Meta(ge=0)] | UnsetType,
        Meta(description="How many rows the body has: other rows are refused once it came to its end."),
    ] = UNSET


async def send_table(call: HttpCall[TableQuery]) -> Response:
    query, resources = call.query, call.resources
    media = media_of(call.request, allowed=(CSV, NDJSON, JSON))
    request = OpenRequest(
        ExportParams(
            format=query.format,
            filename=query.filename,
            columns=read_columns(query.columns),
            options=msgspec.convert(query, ExportOptions, from_attributes=True),
            expected_rows=None if query.expected_rows is UNSET else query.expected_rows,
        ),
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
        trace_parent=call.request.scope[TRACE_PARENT_KEY],
    )
    await call.wait_for_room(call.ports.clock.monotonic() + resources.service.admit_timeout_s)
    async with AsyncExitStack() as open_until_then:
        open_until_then.callback(resources.tables.take(call.principal))
        blocks = await open_until_then.enter_async_context(aclosing(body_blocks(call.request, resources.body_timeouts)))
        body = _pulled(call, blocks, BodyDigest(call.request), make_gunzip(call.request))
        long_row = _LongRow(call)
        open_until_then.callback(long_row.give_back)
        task = await to_thread.run_sync(_ingest, call, media, request, body, long_row.take, limiter=resources.senders)
    return task_response(call, task, status=202, headers={"Location": task_path(task)})


class _LongRow:
    """The place among ``long_rows`` of a table that had a long row; it keeps it to its end."""

    def __init__(self, call: HttpCall[TableQuery]) -> None:
        self._shares, self._principal = call.resources.long_rows, call.principal
        self._is_taken = False

    def take(self) -> None:
        """Raises QUEUE_FULL where all places are taken."""
        if not self._is_taken:
            self._shares.add(self._principal)
            self._is_taken = True

    def give_back(self) -> None:
        if self._is_taken:
            self._shares.remove(self._principal)


def _ingest(
    call: HttpCall[TableQuery], media: Media, request: OpenRequest, body: Iterator[bytes], on_long_row: OnLongRow
) -> Task:
    """Make the export of a body. Columns that are not declared are those that it names, all of them strings."""
    ports, params = call.ports, request.params
    table = open_table(
        body, media, ports.limits, tuple(column.name for column in params.columns), on_long_row=on_long_row
    )
    if not params.columns and call.query.infer:
        detected = DetectedTable(table, table.read_names(), params.options, ports.limits)
        params = msgspec.structs.replace(params, columns=detected.columns)
        batches: Iterable[TableBatch] = detected.batches
    else:
        if not params.columns:
            params = msgspec.structs.replace(params, columns=tuple(map(ColumnSpec, table.read_names())))
        batches = table.batches(RowShape.of(params, "", ports.limits))
    params_cache, tenant = call.resources.service.params_cache, call.principal.tenant
    return ingest_table(ports, params_cache, tenant, request._replace(params=params), batches)


async def _next_block(call: HttpCall[TableQuery], blocks: AsyncGenerator[bytes, None]) -> bytes:
    """The next block, empty at the end. Raises UNAUTHENTICATED once the key is revoked: a body may take hours."""
    block = await anext(blocks, b"")
    call.check_key()
    return block


def _pulled(
    call: HttpCall[TableQuery], blocks: AsyncGenerator[bytes, None], digest: BodyDigest, gunzip: Gunzip | None
) -> Iterator[bytes]:
    """Yield the body in a worker thread, fetching each block from the event loop when it is asked for.

    Raises whatever makes the body less than whole, so its end is only ever seen when all of it came.
    """
    is_first = True
    while block := from_thread.run(_next_block, call, blocks):
        digest.update(block)
        for piece in gunzip.feed(block) if gunzip else (block,):
            if is_first:
                refuse_packed(piece)
                is_first = False
            yield piece
    if gunzip:
        gunzip.finish()
    digest.check()


def read_columns(texts: Iterable[str]) -> tuple[ColumnSpec, ...]:
    """Read columns from their compact form: ``name`` or ``name:type``, separated by commas.

    A backslash keeps the next character as it is. Raises INVALID_REQUEST for a type that is none.
    """
    return tuple(column for text in texts for column in _columns(text))


def _columns(text: str) -> Iterator[ColumnSpec]:
    end = -1
    while end < len(text):
        match = _COLUMN.match(text, end + 1)
        if match is None or text[match.end() : match.end() + 1] not in {"", ","}:
            raise invalid_request("columns are written name or name:type, separated by commas", field="columns")
        try:
            kind = ColumnType.STRING if match["type"] is None else ColumnType(match["type"])
        except ValueError:
            known = ", ".join(ColumnType)
            raise invalid_request(f"a column's type is one of {known}", field="columns") from None
        yield ColumnSpec(_ESCAPED.sub(r"\1", match["name"]), kind)
        end = match.end()


OPERATIONS = (
    Operation(
        id="sendTable",
        method="POST",
        path="/v1/exports/stream",
        summary="Send a whole table in one request",
        description=(
            "A body of any length on one machine. On Function Compute the gateway before the service takes 32 MB of a "
            "request, as it is sent, and answers a longer one itself (400 or 413, `EntityTooLarge`): pack the body "
            "(`Content-Encoding: gzip`), or send batches, or use gRPC."
        ),
        endpoint=send_table,
        scope=Scope.WRITE,
        query=TableQuery,
        headers=(IDEMPOTENCY_KEY, CONTENT_SHA256, CONTENT_ENCODING),
        body=RequestBody({CSV: TEXT_ROWS, NDJSON: TEXT_ROWS, JSON: JSON_ROWS}, examples=EXAMPLES),
        answers={
            202: Answer(
                "The whole body arrived, and the export is sealed. A body that breaks off never is.",
                {JSON: TaskView},
                ("Location", *TASK_HEADERS),
            )
        },
        codes=(*BODY_CODES, *TABLE_CODES, *BATCH_CODES, *CLOSE_CODES),
    ),
)
