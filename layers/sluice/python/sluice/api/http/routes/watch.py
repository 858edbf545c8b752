"""Watch addresses: a browser looks at one export and fetches its file, from a page of any site, without a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from sluice.api.http.errors import KNOWN_KEY, SHARE_KEY, WATCH_PATHS
from sluice.api.http.operation import (
    Declared,
    HttpCall,
    NoQuery,
    Operation,
    Result,
    read_query,
    resources_of,
)
from sluice.api.http.routes.exports import OPERATIONS as EXPORT_OPERATIONS
from sluice.api.http.routes.exports import StatusQuery, follow_task, link_response, read_task
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, Watched
from sluice.domain.task import Task
from sluice.usecases.reading.make_link import link_to
from sluice.usecases.reading.read_task import find_task


class WatchedFileQuery(Struct, frozen=True, kw_only=True):
    redirect: Annotated[bool, Meta(description="false answers with the link as JSON.")] = True


@dataclass(frozen=True)
class WatchCall(HttpCall[Any]):
    """A request that came with a watch address. It may look at the address's task, and at nothing else."""

    what: Watched

    @property
    def task_ref(self) -> TaskRef:
        return self.what.ref

    @property
    def watched(self) -> str:
        return f"{WATCH_PATHS}{self.request.path_params['token']}"

    def check_key(self) -> None:
        """An address has no end of its own: reading the task says when it is over."""

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """As for any caller. Raises TASK_NOT_FOUND for a row that a later export under the same key has."""
        found = await super().run(work, *arguments)
        if isinstance(found, Task) and found.created_at != self.what.created_at:
            raise SluiceError(ErrorCode.TASK_NOT_FOUND)
        return found


async def _serve(
    endpoint: Callable[[HttpCall[Any]], Awaitable[Response]], query: type[Struct], request: Request
) -> Response:
    """Let in who has an address of ours, or raise PERMISSION_DENIED; with a share of its own."""
    resources = resources_of(request)
    if resources.watches is None:
        raise SluiceError(ErrorCode.PERMISSION_DENIED, "The address is not one of ours.")
    what = resources.watches.read(request.path_params["token"])
    principal, request.scope[SHARE_KEY] = resources.watches.take(what, is_open=resources.service.access.ring.is_open())
    request.scope[KNOWN_KEY] = True
    return await endpoint(WatchCall(request, resources, principal, read_query(request.query_params, query), what))


async def link_watched(call: HttpCall[WatchedFileQuery]) -> Response:
    task = await call.run(find_task, call.ports, call.task_ref)
    return link_response(await call.run(link_to, call.ports, task), redirect=call.query.redirect)


async def watch_export(request: Request) -> Response:
    return await _serve(read_task, StatusQuery, request)


async def follow_watched(request: Request) -> Response:
    return await _serve(follow_task, NoQuery, request)


async def get_watched_file(request: Request) -> Response:
    return await _serve(link_watched, WatchedFileQuery, request)


_OF_EXPORT = {operation.id: operation for operation in EXPORT_OPERATIONS}


def _watched(of: str, **changes: Any) -> Operation:
    """The operation of an export as it is for a watch address: read only, of one export, without a key."""
    known = _OF_EXPORT[of]
    declared: Declared = {
        "headers": known.headers,
        "answers": known.answers,
        "codes": (*known.codes, ErrorCode.UNAUTHENTICATED, ErrorCode.PERMISSION_DENIED),
        "method": known.method,
        "scope": None,
        **changes,
    }
    return Operation(**declared)


OPERATIONS = (
    _watched(
        "getExport",
        id="watchExport",
        path="/v1/watch/{token}",
        summary="Look at an export by its watch address, or wait for it",
        endpoint=watch_export,
        query=StatusQuery,
    ),
    _watched(
        "followExport",
        id="followWatchedExport",
        path="/v1/watch/{token}/events",
        summary="Follow an export by its watch address (server-sent events)",
        endpoint=follow_watched,
    ),
    _watched(
        "getFileLink",
        id="getWatchedFile",
        path="/v1/watch/{token}/file",
        summary="Get the file of an export by its watch address",
        endpoint=get_watched_file,
        query=WatchedFileQuery,
    ),
)
