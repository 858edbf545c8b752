"""The route that takes a batch."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from sluice.api.http.bodies.body import read_body
from sluice.api.http.bodies.media import CSV, JSON, NDJSON, PROTOBUF, Media, media_of, read_rows
from sluice.api.http.bodies.models import BatchReceiptView
from sluice.api.http.call import Call, Writer
from sluice.api.http.errors import logged
from sluice.api.http.responses import json_response
from sluice.api.http.routes.openapi import (
    BATCH_BODY,
    BATCH_CODES,
    BODY_CODES,
    CONTENT_ENCODING,
    CONTENT_SHA256,
    TASK_CODES,
    declares,
    extra,
)
from sluice.api.rows import RowShape
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.usecases.sending.put_batch import BatchReceipt, check_sequence, put_batch

router = APIRouter()

_SEQUENCE = re.compile(r"[0-9]{1,20}", re.ASCII)


@router.put(
    "/v1/exports/{task_id}/batches/{sequence}",
    summary="Put a batch of rows",
    openapi_extra=extra(CONTENT_SHA256, CONTENT_ENCODING, **BATCH_BODY),
    **declares(
        200,
        "The batch is stored and will be in the file.",
        BatchReceiptView,
        codes=(*BODY_CODES, *TASK_CODES, *BATCH_CODES),
        slow=True,
    ),
)
async def put_rows(
    call: Writer,
    task_id: Annotated[str, Path(description="The export's id, as the open answered it.")],
    sequence: Annotated[
        str,
        Path(
            description="The batch's place among all of the export, from 1, chosen by the sender. Batches may come "
            "in any order. One numbering runs through all sheets; within a sheet rows stand in its order.",
            json_schema_extra={"type": "integer", "minimum": 1},
        ),
    ],
    sheet: Annotated[
        str, Query(description="The declared sheet that the rows belong to; left out in an export of one table.")
    ] = "",
) -> Response:
    ref = call.ref(task_id)
    number = read_sequence(sequence)
    try:
        receipt = await _put(call, ref, number, sheet)
    except SluiceError as error:
        call.ports.journal.record(
            Event.BATCH_REJECTED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            sequence=number,
            error_code=error.code.value,
        )
        raise logged(error) from error
    return json_response(BatchReceiptView(receipt.sequence, receipt.rows, receipt.sha, receipt.replayed))


def read_sequence(text: str) -> int:
    """Read the sequence of a path. Raises SEQ_OUT_OF_RANGE for anything but digits."""
    if not _SEQUENCE.fullmatch(text):
        raise SluiceError(ErrorCode.SEQ_OUT_OF_RANGE)
    return int(text)


async def _put(call: Call, ref: TaskRef, sequence: int, sheet: str) -> BatchReceipt:
    """Refuse what can be refused before the body is read; then read, decode and store it."""
    runtime = call.runtime
    check_sequence(sequence, call.ports.limits)
    media = media_of(call.request, allowed=(JSON, NDJSON, CSV, PROTOBUF))
    params, _ = await call.run(runtime.service.params_cache.read, ref)
    shape = RowShape.of(params, sheet, rows_max=call.ports.limits.batch_rows_max)
    with runtime.bodies.hold() as held:
        body = await read_body(call.request, held, bytes_max=runtime.body_bytes_max, patience=runtime.patience)
        return await call.run(_store, call, ref, sequence, media, shape, body)


def _store(call: Call, ref: TaskRef, sequence: int, media: Media, shape: RowShape, body: bytes) -> BatchReceipt:
    service = call.runtime.service
    with call.runtime.decoding:
        batch = read_rows(body, media, shape, sequence=sequence)
    return put_batch(call.ports, service.params_cache, ref, sequence=sequence, batch=batch, sheet=shape.sheet)
