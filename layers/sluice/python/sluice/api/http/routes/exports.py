"""The operations of an export's life: open, close, look, wait, list, link, render again, end."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from sluice.api.http.bodies.body import JSON
from sluice.api.http.bodies.models import (
    CloseBody,
    LinkView,
    ListQuery,
    OpenBody,
    OpenedView,
    RenderBody,
    StoredBatches,
    TaskListView,
    read_model,
    read_open,
)
from sluice.api.http.errors import invalid_request, request_id_of
from sluice.api.http.json_body import read_json_body
from sluice.api.http.operation import Answer, HttpCall, NoQuery, Operation, RequestBody, json_response
from sluice.api.http.responses import created_response, etag_of, is_known, opened_response, task_path, task_response
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
    header,
)
from sluice.api.http.server.middleware import TRACE_PARENT_KEY
from sluice.api.task_view import TaskView, view_task
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode
from sluice.domain.timestamps import iso_time
from sluice.usecases.reading.make_link import Link, make_link
from sluice.usecases.reading.read_task import (
    batch_ranges,
    find_task,
    list_exports,
    read_status,
    stored_ranges,
)
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.render_again import RenderRequest, render_again

WAIT_S_MAX = 60


class StatusQuery(Struct, frozen=True, kw_only=True):
    wait: Annotated[
        float,
        Meta(
            ge=0,
            description=f"Answer only when the state changes, or after so many seconds (at most {WAIT_S_MAX}).",
        ),
    ] = 0


class LinkQuery(Struct, frozen=True, kw_only=True):
    redirect: Annotated[bool, Meta(description="false answers with the link as JSON.")] = True
    life_s: Annotated[
        Annotated[float, Meta(ge=1)] | UnsetType,
        Meta(
            description="For how many seconds the link works: at most a week, and no longer than the file is kept. "
            "By default as the service is set (`storage.link_life_s`).",
        ),
    ] = UNSET


async def open_task(call: HttpCall[NoQuery]) -> Response:
    params = await read_json_body(call, partial(read_open, limits=call.ports.limits))
    request = OpenRequest(
        params,
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
        trace_parent=call.request.scope[TRACE_PARENT_KEY],
    )
    opened = await call.run_with_room(open_export, call.ports, call.principal.tenant, request)
    call.resources.service.params_cache.remember(opened.task)
    stored = await call.run(batch_ranges, call.ports, opened.task.ref) if opened.replayed else []
    return opened_response(call, opened.task, replayed=opened.replayed, stored=stored)


async def list_batches(call: HttpCall[NoQuery]) -> Response:
    ref = call.task_ref
    task = await call.run(find_task, call.ports, ref)
    stored = await call.run_listing(batch_ranges, call.ports, ref)
    return json_response(StoredBatches(task.state.value, task.batches_received, task.rows_received, stored))


async def list_tasks(call: HttpCall[ListQuery]) -> Response:
    return await call.run_listing(_list, call)


def _list(call: HttpCall[ListQuery]) -> Response:
    query = call.query
    page = list_exports(
        call.ports,
        call.principal.tenant,
        state=query.state or None,
        request_id=query.request_id,
        limit=query.limit,
        cursor=query.cursor,
    )
    now = call.ports.clock.now()
    tasks = [view_task(task, now) for task in page.tasks]
    return json_response(TaskListView(tasks, page.cursor or None, list(page.damaged)))


async def read_task(call: HttpCall[StatusQuery]) -> Response:
    task = await call.run(read_status, call.ports, call.task_ref)
    if call.query.wait:
        task = await wait_for_change(call, task, min(call.query.wait, WAIT_S_MAX))
    if is_known(call.request, task):
        return Response(status_code=304, headers={"ETag": etag_of(task)})
    stored = await call.run(stored_ranges, call.ports, task)
    return task_response(call, task, stored=stored)


async def follow_task(call: HttpCall[NoQuery]) -> Response:
    return event_response(call, await call.run(read_status, call.ports, call.task_ref))


async def close_task(call: HttpCall[NoQuery]) -> Response:
    ref = call.task_ref
    body = await read_json_body(call, partial(read_model, model=CloseBody), default=CloseBody())
    task = await call.run(close_export, call.ports, ref, body.to_request())
    return task_response(call, task, status=202, headers={"Location": task_path(task)})


async def render_task(call: HttpCall[NoQuery]) -> Response:
    ref = call.task_ref
    body = await read_json_body(call, partial(read_model, model=RenderBody), default=RenderBody())
    request = RenderRequest(
        format=body.format,
        filename=body.filename,
        options=body.options,
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
        trace_parent=call.request.scope[TRACE_PARENT_KEY],
    )
    opened = await call.run_with_room(render_again, call.ports, ref, request)
    return created_response(call, opened.task, replayed=opened.replayed)


async def link_file(call: HttpCall[LinkQuery]) -> Response:
    link = await call.run(make_link, call.ports, call.task_ref, call.query.life_s or None)
    return link_response(link, redirect=call.query.redirect)


def link_response(link: Link, *, redirect: bool) -> Response:
    if redirect:
        return Response(status_code=302, headers={"Location": link.url})
    return json_response(LinkView(link.url, iso_time(link.expires_at)))


async def cancel_task(call: HttpCall[NoQuery]) -> Response:
    return task_response(call, await call.run(cancel_export, call.ports, call.task_ref))


async def delete_task(call: HttpCall[NoQuery]) -> Response:
    await call.run(delete_export, call.ports, call.task_ref)
    return Response(status_code=204)


def idempotency_key_of(call: HttpCall[Any]) -> str | None:
    """The key as text; a header is bytes, and those of a key are UTF-8."""
    sent = call.request.headers.get("idempotency-key")
    if sent is None:
        return None
    try:
        return sent.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise invalid_request("Idempotency-Key is not UTF-8", field="idempotency_key") from None


_IF_NONE_MATCH = header("If-None-Match", "Answer 304 if the export is still as this tag says.", type="string")
_LINK_ANSWERS = {
    200: Answer("The link, with `redirect=false`.", {JSON: LinkView}),
    302: Answer("A link made now. Anyone who has it may read the file for a while.", headers=("Location",)),
}
_LINK_CODES = (
    *TASK_CODES,
    *FAILURE_CODES,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.NOT_READY,
    ErrorCode.EXPIRED,
    ErrorCode.CANCELLED,
)

OPERATIONS = (
    Operation(
        id="openExport",
        method="POST",
        path="/v1/exports",
        summary="Open an export",
        endpoint=open_task,
        scope=Scope.WRITE,
        headers=(IDEMPOTENCY_KEY, CONTENT_ENCODING),
        body=RequestBody(
            {JSON: OpenBody},
            examples={
                JSON: {
                    "format": "xlsx",
                    "filename": "orders.xlsx",
                    "columns": [{"name": "id", "type": "number"}, "customer", {"name": "paid", "type": "boolean"}],
                    "options": {"freeze_header": True},
                }
            },
        ),
        answers={
            201: Answer(
                "The export, open for batches. An open repeated under its key answers with the same export.",
                {JSON: OpenedView},
                CREATED_HEADERS,
            )
        },
        codes=(*BODY_CODES, *TABLE_CODES),
    ),
    Operation(
        id="listBatches",
        method="GET",
        path="/v1/exports/{task_id}/batches",
        summary="See which batches are stored",
        endpoint=list_batches,
        scope=Scope.READ,
        answers={200: Answer("Ranges of sequences.", {JSON: StoredBatches})},
        codes=TASK_CODES,
    ),
    Operation(
        id="listExports",
        method="GET",
        path="/v1/exports",
        summary="List the tenant's exports, newest first",
        endpoint=list_tasks,
        scope=Scope.READ,
        query=ListQuery,
        answers={200: Answer("A page of exports.", {JSON: TaskListView})},
        codes=(ErrorCode.INVALID_REQUEST,),
    ),
    Operation(
        id="getExport",
        method="GET",
        path="/v1/exports/{task_id}",
        summary="Look at an export, or wait for it",
        endpoint=read_task,
        scope=Scope.READ,
        query=StatusQuery,
        headers=(_IF_NONE_MATCH,),
        answers={
            200: Answer("The export.", {JSON: TaskView}, TASK_HEADERS),
            304: Answer("Still as `If-None-Match` says."),
        },
        codes=(ErrorCode.INVALID_REQUEST, *TASK_CODES),
    ),
    Operation(
        id="followExport",
        method="GET",
        path="/v1/exports/{task_id}/events",
        summary="Follow an export until it has ended (server-sent events)",
        endpoint=follow_task,
        scope=Scope.READ,
        headers=(header("Last-Event-ID", "What a client that reconnects has seen.", type="string"),),
        answers={
            200: Answer(
                "One event for each revision of the export: the same JSON as the export itself.",
                {EVENT_STREAM: {"type": "string"}},
            ),
            204: Answer("The export has ended and the client has seen its last event."),
        },
        codes=(ErrorCode.INVALID_REQUEST, *TASK_CODES),
    ),
    Operation(
        id="closeExport",
        method="POST",
        path="/v1/exports/{task_id}/close",
        summary="Close an export: its rows are fixed and its file is composed",
        endpoint=close_task,
        scope=Scope.WRITE,
        body=RequestBody({JSON: CloseBody}, examples={JSON: {"batches": 1, "rows": 2}}, required=False),
        answers={202: Answer("The export, sealed.", {JSON: TaskView}, ("Location", *TASK_HEADERS))},
        codes=(*BODY_CODES, *TASK_CODES, *CLOSE_CODES),
    ),
    Operation(
        id="renderExport",
        method="POST",
        path="/v1/exports/{task_id}/render",
        summary="Make another file from the same rows",
        endpoint=render_task,
        scope=Scope.WRITE,
        headers=(IDEMPOTENCY_KEY,),
        body=RequestBody(
            {JSON: RenderBody}, examples={JSON: {"format": "csv", "filename": "orders.csv"}}, required=False
        ),
        answers={
            201: Answer(
                "A new export over the rows of this one, sealed.",
                {JSON: TaskView},
                (*CREATED_HEADERS, "Retry-After"),
            )
        },
        codes=(
            *BODY_CODES,
            *TASK_CODES,
            *TABLE_CODES,
            ErrorCode.NOT_READY,
            ErrorCode.CANCELLED,
            ErrorCode.EXPIRED,
            ErrorCode.CHUNK_MISSING,
        ),
    ),
    Operation(
        id="headFileLink",
        method="HEAD",
        path="/v1/exports/{task_id}/file",
        summary="Ask for a link as GET does, without its body",
        endpoint=link_file,
        scope=Scope.READ,
        query=LinkQuery,
        answers=_LINK_ANSWERS,
        codes=_LINK_CODES,
    ),
    Operation(
        id="getFileLink",
        method="GET",
        path="/v1/exports/{task_id}/file",
        summary="Get a link to the file",
        endpoint=link_file,
        scope=Scope.READ,
        query=LinkQuery,
        answers=_LINK_ANSWERS,
        codes=_LINK_CODES,
    ),
    Operation(
        id="cancelExport",
        method="POST",
        path="/v1/exports/{task_id}/cancel",
        summary="Stop an export that has not ended: it never gets a file, and one that has its file keeps it",
        endpoint=cancel_task,
        scope=Scope.WRITE,
        answers={200: Answer("The export, cancelled; repeating it is harmless.", {JSON: TaskView}, TASK_HEADERS)},
        codes=(
            ErrorCode.INVALID_REQUEST,
            *TASK_CODES,
            ErrorCode.ALREADY_COMPLETED,
            ErrorCode.TASK_CLOSED,
            ErrorCode.EXPIRED,
        ),
    ),
    Operation(
        id="deleteExport",
        method="DELETE",
        path="/v1/exports/{task_id}",
        summary="Cancel an export that is running, delete one that has ended",
        endpoint=delete_task,
        scope=Scope.WRITE,
        answers={204: Answer("Done; repeating it is harmless.")},
        codes=(ErrorCode.INVALID_REQUEST, *TASK_CODES),
    ),
)
