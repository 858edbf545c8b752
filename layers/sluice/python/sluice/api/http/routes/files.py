"""Serves files behind signed links, whole or in part; possession of the link is access."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import closing
from functools import cache, partial
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sluice.api.auth import LOCAL_TENANT, NO_KEY, Principal
from sluice.api.http.bodies.models import ProblemView
from sluice.api.http.errors import KNOWN_KEY, PROBLEM_TYPE, SHARE_KEY, HttpError, invalid_request
from sluice.api.http.links import Grant
from sluice.api.http.operation import Answer, Declared, HttpResources, Operation, resources_of
from sluice.api.http.responses import tag_matches
from sluice.api.http.routes.openapi import header
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.filenames import content_disposition
from sluice.domain.keys import TaskId, TaskRef, parse_owner
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.reading import dataset_facts
from sluice.domain.task import State, Task
from sluice.ports.log_context import client_of_call
from sluice.ports.object_store import ObjectInfo
from sluice.ports.store_errors import DamagedObject, NoSuchObject
from sluice.tables.formats import FORMATS

ANY_TYPE = "application/octet-stream"
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII | re.IGNORECASE)


@cache
def _media_types() -> dict[str, str]:
    """The media type of each extension that a format can give."""
    return {
        FORMATS[known].extension(options, rows): FORMATS[known].media_type(options, rows)
        for known in ExportFormat
        for options in (ExportOptions(), ExportOptions(compression_enabled=True))
        for rows in (0, options.workbook_rows_max + 1)
    }


async def read_file(request: Request) -> Response:
    resources = resources_of(request)
    if resources.links is None or request.url.query:  # a link that something was added to is not ours
        raise SluiceError(ErrorCode.PERMISSION_DENIED, "The link is not one of ours.")
    grant = resources.links.verify(request.path_params["token"])
    request.scope[SHARE_KEY] = resources.downloads.take(_owner_of(grant, resources))
    request.scope[KNOWN_KEY] = True
    return await file_response(request, grant)


async def file_response(
    request: Request, grant: Grant, more: Mapping[str, str] | None = None, *, via: str = "link"
) -> Response:
    """The file that is granted, or the part of it that is asked for, with ``more`` headers. ``via`` is for the audit.

    Raises EXPIRED when its time is over; RESULT_MISSING or RESULT_DAMAGED when it is not the one that was verified.
    """
    resources = resources_of(request)
    task, info, kind = await to_thread.run_sync(_find, resources, grant, limiter=resources.readers)
    etag = f'"{info.crc64}-{info.size}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(grant.filename),
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Type": kind,
        **(more or {}),
    }
    named = {tag.strip() for tag in request.headers.get("if-match", "*").split(",")}
    if not named & {"*", etag}:  # compared strongly (RFC 9110, 8.8.3.2)
        raise HttpError(412, invalid_request("The file is another than If-Match says.", field="If-Match"))
    if tag_matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    span = _span_of(request, etag, info.size)
    if span is None:
        raise HttpError(416, invalid_request("The file has no such range."), {"Content-Range": f"bytes */{info.size}"})
    start, end = span
    headers["Content-Length"] = str(end - start)
    status = 200
    if span != (0, info.size):
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    if task is not None and (facts := dataset_facts(task)):
        record = partial(_record_download, resources, task, via=via, is_part="Content-Range" in headers, **facts)
        await to_thread.run_sync(record, limiter=resources.readers)
    blocks = resources.ports.objects.read_range(grant.key, start, end)
    first = await _next_block(resources, blocks)  # a file found damaged at once is an error, not a broken answer
    return StreamingResponse(_in_threads(resources, first, blocks), status, headers=headers)


def _owner_of(grant: Grant, resources: HttpResources) -> Principal:
    """Whose share a download is of: the link says no caller, so that of the tenant whose file it is."""
    owner = parse_owner(grant.key)
    is_open = resources.service.access.ring.is_open()  # then there is one tenant, and it may have all
    tenant = owner.tenant if owner is not None else LOCAL_TENANT
    return Principal(tenant=tenant, key_id=NO_KEY if is_open else "link", scopes=frozenset())


async def _next_block(resources: HttpResources, blocks: Generator[bytes]) -> bytes:
    """The next block, empty at the end. Raises RESULT_MISSING and RESULT_DAMAGED; what was sent before was right."""
    try:
        return await to_thread.run_sync(next, blocks, b"", limiter=resources.readers)
    except (NoSuchObject, DamagedObject) as error:
        code = ErrorCode.RESULT_DAMAGED if isinstance(error, DamagedObject) else ErrorCode.RESULT_MISSING
        resources.ports.journal.record(Event.SYSTEM_ERROR, error=error, error_code=code.value)
        raise SluiceError(code) from None


def _record_download(resources: HttpResources, task: Task, **facts: object) -> None:
    """For the audit: rows of a dataset begin to leave the service. Whether all arrive is known to who reads them."""
    resources.ports.journal.record(
        Event.DATASET_ASKED,
        task_id=task.task_id,
        tenant=task.tenant,
        what="download",
        outcome="begun",
        rows=task.result_rows,
        client=client_of_call(),
        **facts,
    )


def _find(resources: HttpResources, grant: Grant) -> tuple[Task | None, ObjectInfo, str]:
    """Describe the file, and its type, with its task where that is known.

    Raises EXPIRED when its time is over; RESULT_MISSING or RESULT_DAMAGED when it is not.
    """
    ports, key = resources.ports, grant.key
    owner = parse_owner(key)
    if owner is not None and grant.task_id:
        owner = TaskRef(owner.tenant, TaskId(grant.task_id))
    task = ports.tasks.read(owner) if owner is not None else None
    if task is None or task.state is not State.COMPLETED or task.result_key != key or task.deleted_at:
        if grant.task_id:
            raise SluiceError(ErrorCode.EXPIRED, "The file is gone.")
        task = None  # the older release that made this link may have made the file as well
    try:
        info = ports.objects.head(key)
        if task is None or (info.size, info.crc64) == (task.result_size, task.result_crc64):
            return task, info, _media_type(task, key)
        code = ErrorCode.RESULT_DAMAGED
    except NoSuchObject:
        if task is None:
            raise SluiceError(ErrorCode.EXPIRED, "The file is gone.") from None
        code = ErrorCode.RESULT_MISSING
    ports.journal.record(Event.SYSTEM_ERROR, error_code=code.value, task_id=task.task_id)
    raise SluiceError(code)


def _media_type(task: Task | None, key: str) -> str:
    """That of the task's format and options, such as its encoding; of a file without a task, by its extension."""
    _, _, extension = key.rpartition("/")[2].partition(".")
    if task is not None:
        params = task.live_params
        form = FORMATS[params.format]
        for rows in (0, params.options.workbook_rows_max + 1):
            if form.extension(params.options, rows) == extension:
                return form.media_type(params.options, rows)
    return _media_types().get(extension, ANY_TYPE)


def _span_of(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Where the bytes that are asked for start, and where they end, exclusive; None when the file has none of them.

    Of several ranges, or of one that is not understood, the whole file is a
    legal answer (RFC 9110, 14.2).
    """
    whole = (0, size)
    if request.method != "GET":
        return whole  # a range means nothing to another method (RFC 9110, 14.2)
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or found[1] == found[2] == "" or request.headers.get("if-range", etag) != etag:
        return whole
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return whole
    return (start, end) if start < end else None


async def _in_threads(resources: HttpResources, first: bytes, blocks: Generator[bytes]) -> AsyncGenerator[bytes, None]:
    """Read each block in a thread when the one before is sent; one block is buffered.

    A caller that goes away ends the reading: a store's connection is not left to the garbage collector.
    """
    with closing(blocks):
        block = first
        while block:
            yield block
            block = await _next_block(resources, blocks)


_BYTES: Declared = {"type": "string", "format": "binary"}
FILE = {media.partition(";")[0]: _BYTES for media in (*_media_types().values(), ANY_TYPE)}
_DECLARED: dict[str, Any] = {
    "path": "/v1/files/{token}",
    "endpoint": read_file,
    "scope": None,
    "headers": (
        header(
            "Range", "One range of bytes, such as `bytes=1000-` to go on where a download broke off.", type="string"
        ),
        header("If-Range", "The ETag the range belongs to; the whole file if it is another.", type="string"),
        header("If-Match", "Answer 412 unless the file has this tag.", type="string"),
        header("If-None-Match", "Answer 304 if the file has this tag.", type="string"),
    ),
    "answers": {
        200: Answer("The file.", FILE),
        206: Answer("The range.", FILE),
        304: Answer("The file is as `If-None-Match` says."),
        412: Answer("The file is another than `If-Match` says.", {PROBLEM_TYPE: ProblemView}),
        416: Answer("The file has no such range.", {PROBLEM_TYPE: ProblemView}),
    },
    "codes": (ErrorCode.EXPIRED, ErrorCode.RESULT_MISSING, ErrorCode.RESULT_DAMAGED),
}

OPERATIONS = (
    Operation(id="headFile", method="HEAD", summary="Ask about the file behind a link", **_DECLARED),
    Operation(id="readFile", method="GET", summary="Read the file behind a link", **_DECLARED),
)
