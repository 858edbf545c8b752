"""The route that takes a whole table in one request: opened, cut into batches, closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Annotated

from anyio import from_thread, to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response

from sluice.api.http.bodies.body import BodyDigest, body_blocks, make_gunzip, refuse_packed
from sluice.api.http.bodies.compact_columns import read_columns
from sluice.api.http.bodies.gunzip import Gunzip
from sluice.api.http.bodies.media import CSV, NDJSON, media_of
from sluice.api.http.bodies.models import convert
from sluice.api.http.call import Call, Writer
from sluice.api.http.errors import request_id_of
from sluice.api.http.responses import task_path, task_response
from sluice.api.http.routes.exports import idempotency_key_of
from sluice.api.http.routes.openapi import (
    BATCH_CODES,
    BODY_CODES,
    CLOSE_CODES,
    CONTENT_ENCODING,
    CONTENT_SHA256,
    IDEMPOTENCY_KEY,
    STREAM_BODY,
    TABLE_CODES,
    TASK_HEADERS,
    declares,
    extra,
    option_parameters,
)
from sluice.api.http.server.middleware import TRACE_PARENT_KEY
from sluice.api.http.table import TableRequest, receive_table
from sluice.api.task_view import TaskView
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat, ExportOptions

router = APIRouter()

_OWN_PARAMETERS = frozenset({"format", "filename", "columns", "expected_rows"})


@router.post(
    "/v1/exports/stream",
    summary="Send a whole table in one request",
    openapi_extra=extra(IDEMPOTENCY_KEY, CONTENT_SHA256, CONTENT_ENCODING, *option_parameters(), **STREAM_BODY),
    **declares(
        202,
        "The whole body arrived, and the export is sealed. A body that breaks off never is.",
        TaskView,
        codes=(*BODY_CODES, *TABLE_CODES, *BATCH_CODES, *CLOSE_CODES),
        headers=("Location", *TASK_HEADERS),
        slow=True,
    ),
)
async def send_table(
    call: Writer,
    format: Annotated[str, Query(description="xlsx, csv, jsonl or parquet.")],  # noqa: A002  # the parameter's name
    filename: Annotated[str, Query(description="The name the file is saved under.")] = "",
    columns: Annotated[
        list[str] | None,
        Query(
            description=(
                "Names and types, such as `id:number,name,paid:boolean`; a type that is not given is string, and a "
                "backslash takes a comma or colon into a name. May be repeated. Without it the CSV header, or the "
                "names of the first NDJSON object, are the columns, all of them strings."
            )
        ),
    ] = None,
    expected_rows: Annotated[int | None, Query(ge=0, description="Only shown again; not checked.")] = None,
) -> Response:
    media = media_of(call.request, allowed=(CSV, NDJSON))
    table = TableRequest(
        format=_read_format(format),
        filename=filename,
        columns=read_columns(columns) if columns else None,
        options=_read_options(call),
        expected_rows=expected_rows,
        has_header=media.has_header,
        is_csv=media.kind == CSV,
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
        trace_parent=call.request.scope[TRACE_PARENT_KEY],
    )
    runtime = call.runtime
    if not runtime.senders.available_tokens:
        raise SluiceError(ErrorCode.QUEUE_FULL, "As many tables are being sent as can be.", retry_after_s=5)
    async with aclosing(body_blocks(call.request, runtime.patience)) as blocks:
        body = _pulled(blocks, BodyDigest(call.request), make_gunzip(call.request))
        task = await to_thread.run_sync(
            lambda: receive_table(runtime.service, call.principal.tenant, table, body), limiter=runtime.senders
        )
    return task_response(call, task, status=202, headers={"Location": task_path(task)})


def _pulled(blocks: AsyncGenerator[bytes, None], digest: BodyDigest, gunzip: Gunzip | None) -> Iterator[bytes]:
    """Yield the body in a worker thread, fetching each block from the event loop when it is asked for.

    Raises whatever makes the body less than whole, so its end is only ever seen when all of it came.
    """
    is_first = True
    while block := from_thread.run(anext, blocks, b""):
        digest.update(block)
        for piece in gunzip.feed(block) if gunzip else (block,):
            if is_first:
                refuse_packed(piece)
                is_first = False
            yield piece
    if gunzip:
        gunzip.finish()
    digest.check()


def _read_format(text: str) -> ExportFormat:
    try:
        return ExportFormat(text)
    except ValueError:
        raise SluiceError(ErrorCode.UNSUPPORTED_FORMAT, formats=[known.value for known in ExportFormat]) from None


def _read_options(call: Call) -> ExportOptions:
    """Read the options of the file from the query; a name that is no option is refused, for it may be a typo."""
    given = {name: value for name, value in call.request.query_params.items() if name not in _OWN_PARAMETERS}
    return convert(given, ExportOptions, strict=False)
