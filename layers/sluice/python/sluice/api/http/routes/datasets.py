"""Exports of tables that the service reads itself, for the users of an application."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from anyio import to_thread
from msgspec import Struct
from starlette.responses import Response

from sluice.api.datasets import USER_NAMES, Asking, DatasetView, begin_asking, check_alive, view
from sluice.api.http.bodies.body import JSON, ReservedBytes
from sluice.api.http.bodies.models import OpenedView, PreviewView
from sluice.api.http.bodies.pulls import VALUE_BYTES, PreviewQuery, PullBody, read_pull
from sluice.api.http.errors import HttpError, invalid_request, request_id_of
from sluice.api.http.json_body import read_json_body
from sluice.api.http.operation import Answer, HttpCall, NoQuery, Operation, RequestBody, json_response
from sluice.api.http.responses import opened_response, opened_view
from sluice.api.http.routes.events import wait_for_change
from sluice.api.http.routes.exports import idempotency_key_of
from sluice.api.http.routes.files import FILE, file_response
from sluice.api.http.routes.openapi import (
    BODY_CODES,
    CREATED_HEADERS,
    FAILURE_CODES,
    IDEMPOTENCY_KEY,
    TABLE_CODES,
    header,
)
from sluice.api.http.server.middleware import TRACE_PARENT_KEY
from sluice.api.http.source_calls import run_on_source
from sluice.api.users import ATTRIBUTES_HEADER, PERMISSIONS_HEADER, USER_HEADER
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.domain.task_errors import result_key_of
from sluice.tables.formats import filename_of
from sluice.usecases.pulling.find_pulls import list_pulls
from sluice.usecases.pulling.open_pull import open_pull, preview_pull
from sluice.usecases.sending.open_export import OpenRequest


class DatasetExportListView(Struct, frozen=True):
    exports: list[OpenedView]


class DatasetListView(Struct, frozen=True):
    datasets: list[DatasetView]


class _Finished(NamedTuple):
    """A file that its caller has just waited for."""

    key: str
    filename: str
    task_id: str


@asynccontextmanager
async def asking(call: HttpCall[Any], what: str) -> AsyncIterator[tuple[Asking, ReservedBytes]]:
    """Know for whom the call is, and record a refusal: who was refused what. Lets go of what it asks for at the end.

    Gives also what the call holds until it is known what it asks for and has been asked of the table.
    Raises as ``begin_asking``.
    """
    sent = call.request.headers
    if call.request.method == "POST" and "if-none-match" in sent:
        raise invalid_request("If-None-Match is for what is read, not for what is asked for", field="If-None-Match")
    named, dataset = {name: sent.getlist(name) for name in USER_NAMES}, call.request.path_params.get("name", "")
    one = begin_asking(call.resources.service, call.principal, named, what, dataset)
    with call.resources.body_budget.reserve(call.principal) as reserved:
        try:
            yield one, reserved
        except (SluiceError, HttpError) as error:
            code = error.error.code if isinstance(error, HttpError) else error.code
            await to_thread.run_sync(one.record, code.value)
            raise
        finally:
            one.asked = None


async def _read(call: HttpCall[Any], one: Asking, reserved: ReservedBytes) -> PullBody:
    """Raises what reading a body raises, and INVALID_REQUEST; QUEUE_FULL where what it says has no room now."""
    body, one.asked = await read_json_body(call, read_pull, reserved=reserved)
    reserved.add(VALUE_BYTES * (body.values + len(body.columns)))
    return body


async def list_datasets(call: HttpCall[NoQuery]) -> Response:
    async with asking(call, "list") as (one, _):
        return json_response(DatasetListView(await call.run(one.see_all)))


async def read_dataset(call: HttpCall[NoQuery]) -> Response:
    async with asking(call, "show") as (one, _):
        return json_response(view(await call.run(one.find), one.caller.user))


async def preview_dataset(call: HttpCall[PreviewQuery]) -> Response:
    async with asking(call, "preview") as (one, reserved):
        dataset = await call.run(one.find)
        await _read(call, one, reserved)
        counts = call.resources.service.previews
        found = await run_on_source(call, preview_pull, counts, one.caller, dataset, one.asked, call.query.rows)
    return json_response(PreviewView(*found))


async def list_dataset_exports(call: HttpCall[NoQuery]) -> Response:
    """What the user finds who comes back: each with its watch address, as the call that opened it was answered."""
    async with asking(call, "exports") as (one, _):
        dataset, caller = await call.run(one.find), one.caller
        found = await call.run_listing(list_pulls, call.ports, caller.tenant, caller.user, dataset)
    return json_response(DatasetExportListView([opened_view(call, task, stored=[]) for task in found]))


async def export_dataset(call: HttpCall[NoQuery]) -> Response:
    """The file itself where there are few enough rows and it is there in time; else where it will be."""
    async with asking(call, "export") as (one, reserved):
        dataset = await call.run(one.find)
        body = await _read(call, one, reserved)
        request = OpenRequest(
            ExportParams(format=body.format, filename=""),
            idempotency_key=idempotency_key_of(call),
            request_id=request_id_of(call.request.scope),
            trace_parent=call.request.scope[TRACE_PARENT_KEY],
        )
        opening = partial(open_pull, in_background=body.prefer == "background")
        asked = await run_on_source(call, opening, one.caller, dataset, one.asked, request)
        del body  # the file may be waited for for minutes
    task = await _wait(call, asked.opened.task, asked.wait_s)
    check_alive(task)
    if task.state is not State.COMPLETED or not asked.wait_s:
        answer = opened_response(call, task, replayed=asked.opened.replayed, stored=[])
        answer.status_code = 202
        return answer
    finished = _Finished(result_key_of(task), filename_of(task), task.task_id)
    digest = base64.b64encode(bytes.fromhex(task.result_sha256)).decode()
    more = {"Repr-Digest": f"sha-256=:{digest}:", "Sluice-Task": task.task_id, "Sluice-Rows": str(task.result_rows)}
    return await file_response(call.request, finished, more, via="answer")


async def _wait(call: HttpCall[NoQuery], task: Task, wait_s: float) -> Task:
    """The task once it has ended, or the time is up."""
    clock = call.ports.clock
    give_up_at = clock.monotonic() + wait_s
    while not task.state.terminal and (left_s := give_up_at - clock.monotonic()) > 0:
        before = task.state
        task = await wait_for_change(call, task, left_s)
        if task.state is before:
            break  # the time is up, the caller gone, or the service stops
    return task


_USER = (
    header(USER_HEADER.title(), "The user for whom a key with the scope `act_for` calls.", type="string"),
    header(PERMISSIONS_HEADER.title(), "What the user may do, separated by blanks or commas.", type="string"),
    header(ATTRIBUTES_HEADER.title(), "What else is known of the user: a JSON object.", type="string"),
)
_CODES = (ErrorCode.INVALID_REQUEST, ErrorCode.DATASET_NOT_FOUND)
_SOURCE_CODES = (
    *(*_CODES, *BODY_CODES, *TABLE_CODES),
    *(ErrorCode.SOURCE_INVALID, ErrorCode.SOURCE_UNAVAILABLE, ErrorCode.SOURCE_TOO_SLOW),
)
_EXAMPLE = {
    "format": "xlsx",
    "scope": "selected",
    "ids": [1001, 1002],
    "columns": ["id", {"name": "amount", "label": "Amount"}],
    "date": {"from": "2026-01-01", "to": "2026-06-30"},
    "filters": {"status": ["paid", "sent"]},
}
_BODY = RequestBody({JSON: PullBody}, examples={JSON: _EXAMPLE})

OPERATIONS = (
    Operation(
        id="listDatasets",
        method="GET",
        path="/v1/datasets",
        summary="List the tables that the user may have as files",
        endpoint=list_datasets,
        scope=Scope.ACT_FOR,
        headers=_USER,
        answers={200: Answer("The datasets.", {JSON: DatasetListView})},
        codes=_CODES,
    ),
    Operation(
        id="getDataset",
        method="GET",
        path="/v1/datasets/{name}",
        summary="See what the user may ask of a dataset",
        endpoint=read_dataset,
        scope=Scope.ACT_FOR,
        headers=_USER,
        answers={200: Answer("The dataset.", {JSON: DatasetView})},
        codes=_CODES,
    ),
    Operation(
        id="previewDataset",
        method="POST",
        path="/v1/datasets/{name}/preview",
        summary="See the first rows that an export would have",
        endpoint=preview_dataset,
        scope=Scope.ACT_FOR,
        query=PreviewQuery,
        headers=_USER,
        body=_BODY,
        answers={200: Answer("The rows.", {JSON: PreviewView})},
        codes=_SOURCE_CODES,
    ),
    Operation(
        id="listDatasetExports",
        method="GET",
        path="/v1/datasets/{name}/exports",
        summary="Find the user's own exports of a dataset, with their watch addresses",
        description="The newest ten, running or ended, whose rows and columns the user may still have.",
        endpoint=list_dataset_exports,
        scope=Scope.ACT_FOR,
        headers=_USER,
        answers={200: Answer("The exports.", {JSON: DatasetExportListView})},
        codes=_CODES,
    ),
    Operation(
        id="exportDataset",
        method="POST",
        path="/v1/datasets/{name}/exports",
        summary="Export a dataset: the file in this answer, or an export that makes it",
        description=(
            "Up to `direct_rows` and `waited_rows` rows the answer is the finished, verified file. With more, with "
            "`prefer: background`, or when the time is up before, it is 202 and the export, whose file comes later: "
            "watch it at `watch_url`. No answer of 200 is ever a part of a file."
        ),
        endpoint=export_dataset,
        scope=Scope.ACT_FOR,
        headers=(*_USER, IDEMPOTENCY_KEY),
        body=_BODY,
        answers={
            200: Answer("The file.", FILE, ("Repr-Digest", "Sluice-Task", "Sluice-Rows")),
            202: Answer("The export, whose file comes later.", {JSON: OpenedView}, CREATED_HEADERS),
        },
        codes=(*_SOURCE_CODES, *FAILURE_CODES),
    ),
)
