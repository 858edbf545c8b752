"""The routes of an export's life: open, close, look, wait, list, link, render again, end."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from sluice.api.http.bodies.body import read_body
from sluice.api.http.bodies.media import JSON, media_of
from sluice.api.http.bodies.models import CloseBody, LinkView, OpenBody, RenderBody, TaskListView, read_model
from sluice.api.http.call import Call, Reader, Writer
from sluice.api.http.errors import invalid_request, request_id_of
from sluice.api.http.responses import (
    created_response,
    etag_of,
    is_known,
    json_response,
    task_path,
    task_response,
)
from sluice.api.http.routes.events import EVENT_STREAM, event_response, wait_for_change
from sluice.api.http.routes.openapi import (
    BODY_CODES,
    CLOSE_CODES,
    CONTENT_ENCODING,
    CREATED_HEADERS,
    FAILURE_CODES,
    IDEMPOTENCY_KEY,
    TABLE_CODES,
    TASK_CODES,
    TASK_HEADERS,
    declares,
    extra,
    header,
    model_body,
)
from sluice.api.http.server.middleware import TRACE_PARENT_KEY
from sluice.api.task_view import TaskView, view_task
from sluice.domain.errors import ErrorCode
from sluice.domain.limits import MIB
from sluice.domain.task import State
from sluice.domain.timestamps import iso_time
from sluice.usecases.reading.make_link import make_link
from sluice.usecases.reading.read_status import PAGE_MAX, list_exports, read_status
from sluice.usecases.sending.cancel_export import delete_export
from sluice.usecases.sending.close_export import close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.render_again import RenderRequest, render_again

MODEL_BYTES_MAX = 8 * MIB
"""A definition of 16,384 columns with long names fits."""
WAIT_S_MAX = 60

router = APIRouter()
Model = TypeVar("Model")

TaskIdPath = Annotated[str, Path(description="The export's id, as the open answered it.")]
WaitQuery = Annotated[
    float,
    Query(
        ge=0,
        allow_inf_nan=False,
        description=f"Answer only when the state changes, or after so many seconds (at most {WAIT_S_MAX}).",
    ),
]

_IF_NONE_MATCH = header("If-None-Match", "Answer 304 if the export is still as this tag says.", type="string")


@router.post(
    "/v1/exports",
    summary="Open an export",
    openapi_extra=extra(IDEMPOTENCY_KEY, CONTENT_ENCODING, **model_body(OpenBody)),
    **declares(
        201,
        "The export, open for batches. An open repeated under its key answers with the same export.",
        TaskView,
        codes=(*BODY_CODES, *TABLE_CODES),
        headers=CREATED_HEADERS,
        slow=True,
    ),
)
async def open_task(call: Writer) -> Response:
    body = await _read_model(call, OpenBody)
    request = OpenRequest(
        body.to_params(),
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
        trace_parent=call.request.scope[TRACE_PARENT_KEY],
    )
    opened = await call.run(open_export, call.ports, call.principal.tenant, request)
    call.runtime.service.params_cache.remember(opened.task)
    return created_response(call, opened.task, replayed=opened.replayed)


@router.get(
    "/v1/exports",
    summary="List the tenant's exports, newest first",
    **declares(200, "A page of exports.", TaskListView, codes=(ErrorCode.INVALID_REQUEST,)),
)
async def list_tasks(
    call: Reader,
    state: Annotated[State | None, Query(description="Only exports in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str, Query(description="The `cursor` of the page before.")] = "",
) -> Response:
    page = await call.run(
        lambda: list_exports(call.ports, call.principal.tenant, state=state, limit=limit, cursor=cursor)
    )
    now = call.ports.clock.now()
    return json_response(TaskListView([view_task(task, now) for task in page.tasks], page.cursor or None))


@router.get(
    "/v1/exports/{task_id}",
    summary="Look at an export, or wait for it",
    openapi_extra=extra(_IF_NONE_MATCH),
    **declares(
        200,
        "The export.",
        TaskView,
        codes=(ErrorCode.INVALID_REQUEST, *TASK_CODES),
        headers=TASK_HEADERS,
        also={304: {"description": "Still as `If-None-Match` says."}},
    ),
)
async def read_task(call: Reader, task_id: TaskIdPath, wait: WaitQuery = 0) -> Response:
    task = await call.run(read_status, call.ports, call.ref(task_id))
    if wait:
        task = await wait_for_change(call, task, min(wait, WAIT_S_MAX))
    if is_known(call.request, task):
        return Response(status_code=304, headers={"ETag": etag_of(task)})
    return task_response(call, task)


@router.get(
    "/v1/exports/{task_id}/events",
    summary="Follow an export until it has ended (server-sent events)",
    openapi_extra=extra(header("Last-Event-ID", "What a client that reconnects has seen.", type="string")),
    **declares(
        200,
        "The export now and at every change, each as the `data` of an event; the stream ends with the export.",
        codes=(ErrorCode.INVALID_REQUEST, *TASK_CODES),
        also={
            200: {
                "description": "One event for each revision of the export: the same JSON as the export itself.",
                "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
            },
            204: {"description": "The export has ended and the client has seen its last event."},
        },
    ),
)
async def follow_task(call: Reader, task_id: TaskIdPath) -> Response:
    return event_response(call, await call.run(read_status, call.ports, call.ref(task_id)))


@router.post(
    "/v1/exports/{task_id}/close",
    summary="Close an export: its rows are fixed and its file is composed",
    openapi_extra=extra(**model_body(CloseBody, required=False)),
    **declares(
        202,
        "The export, sealed.",
        TaskView,
        codes=(*BODY_CODES, *TASK_CODES, *CLOSE_CODES),
        headers=("Location", *TASK_HEADERS),
        slow=True,
    ),
)
async def close_task(call: Writer, task_id: TaskIdPath) -> Response:
    ref = call.ref(task_id)
    body = await _read_model(call, CloseBody, default=CloseBody())
    task = await call.run(close_export, call.ports, ref, body.to_request())
    return task_response(call, task, status=202, headers={"Location": task_path(task)})


@router.post(
    "/v1/exports/{task_id}/render",
    summary="Make another file from the same rows",
    openapi_extra=extra(IDEMPOTENCY_KEY, **model_body(RenderBody, required=False)),
    **declares(
        201,
        "A new export over the rows of this one, sealed.",
        TaskView,
        codes=(
            *BODY_CODES,
            *TASK_CODES,
            *TABLE_CODES,
            ErrorCode.NOT_READY,
            ErrorCode.CANCELLED,
            ErrorCode.EXPIRED,
            ErrorCode.CHUNK_MISSING,
        ),
        headers=(*CREATED_HEADERS, "Retry-After"),
        slow=True,
    ),
)
async def render_task(call: Writer, task_id: TaskIdPath) -> Response:
    ref = call.ref(task_id)
    body = await _read_model(call, RenderBody, default=RenderBody())
    request = RenderRequest(
        format=body.format,
        filename=body.filename,
        options=body.options,
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
    )
    opened = await call.run(render_again, call.ports, ref, request)
    return created_response(call, opened.task, replayed=opened.replayed)


_LINK_ANSWERS = declares(
    302,
    "A link made now. Whoever holds it may read the file for a while.",
    codes=(
        *TASK_CODES,
        *FAILURE_CODES,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.NOT_READY,
        ErrorCode.EXPIRED,
        ErrorCode.CANCELLED,
    ),
    headers=("Location",),
    also={
        200: {
            "description": "The link, with `redirect=false`.",
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/LinkView"}}},
        },
        302: {"description": "A link made now. Whoever holds it may read the file for a while."},
    },
)


RedirectQuery = Annotated[bool, Query(description="false answers with the link as JSON.")]


@router.head("/v1/exports/{task_id}/file", summary="Ask for a link as GET does, without its body", **_LINK_ANSWERS)
async def probe_file(call: Reader, task_id: TaskIdPath, redirect: RedirectQuery = True) -> Response:  # noqa: FBT002  # a query parameter
    return await link_file(call, task_id, redirect)


@router.get("/v1/exports/{task_id}/file", summary="Get a link to the file", **_LINK_ANSWERS)
async def link_file(call: Reader, task_id: TaskIdPath, redirect: RedirectQuery = True) -> Response:  # noqa: FBT002  # a query parameter
    link = await call.run(make_link, call.ports, call.ref(task_id))
    if redirect:
        return Response(status_code=302, headers={"Location": link.url})
    return json_response(LinkView(link.url, iso_time(link.expires_at)))


@router.delete(
    "/v1/exports/{task_id}",
    summary="Cancel an export that is running, delete one that has ended",
    **declares(204, "Done; repeating it is harmless.", codes=(ErrorCode.INVALID_REQUEST, *TASK_CODES)),
)
async def delete_task(call: Writer, task_id: TaskIdPath) -> Response:
    await call.run(delete_export, call.ports, call.ref(task_id))
    return Response(status_code=204)


def idempotency_key_of(call: Call) -> str | None:
    """The key as text; a header is bytes, and those of a key are UTF-8."""
    sent = call.request.headers.get("idempotency-key")
    if sent is None:
        return None
    try:
        return sent.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise invalid_request("Idempotency-Key is not UTF-8", field="idempotency_key") from None


async def _read_model(call: Call, model: type[Model], *, default: Model | None = None) -> Model:
    """Read the JSON body; with a ``default`` it may be left out."""
    runtime = call.runtime
    with runtime.bodies.hold() as held:
        if "content-type" in call.request.headers or default is None:
            media_of(call.request, allowed=(JSON,))
        body = await read_body(call.request, held, bytes_max=MODEL_BYTES_MAX, patience=runtime.patience)
        if default is not None and not body.strip():
            return default
        return await call.run(read_model, body, model)
