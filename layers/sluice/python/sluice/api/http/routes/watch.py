"""Watch addresses: a browser looks at one export and fetches its file, from a page of any site, without a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from sluice.api.http.bodies.models import LinkView
from sluice.api.http.errors import KNOWN_KEY, SHARE_KEY, WATCH_PATHS
from sluice.api.http.operation import (
    Declared,
    HttpCall,
    NoQuery,
    Operation,
    Result,
    json_response,
    read_query,
    resources_of,
)
from sluice.api.http.routes.exports import OPERATIONS as EXPORT_OPERATIONS
from sluice.api.http.routes.exports import StatusQuery, follow_task, read_task
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, Watched
from sluice.domain.task import Task
from sluice.domain.timestamps import iso_time
from sluice.usecases.reading.make_link import make_link
from sluice.usecases.reading.read_task import read_status


class WatchedFileQuery(Struct, frozen=True, kw_only=True):
    redirect: Annotated[bool, Meta(description="false answers with the link as JSON.")] = True


class WatchCall(HttpCall[Any]):
    """A request that came with a watch address. It may look at the address's task, and at nothing else."""

    @property
    def task_ref(self) -> TaskRef:
        return self._what.ref

    @property
    def _what(self) -> Watched:
        watches = self.resources.watches
        assert watches is not None  # the address was read
        return watches.read(self.request.path_params["token"])

    def check_key(self) -> None:
        """An address has no end of its own: reading the task says when it is over."""

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """As for any caller. Raises TASK_NOT_FOUND for a row that a later export under the same key has."""
        found = await super().run(work, *arguments)
        if isinstance(found, Task) and found.created_at != self._what.created_at:
            raise SluiceError(ErrorCode.TASK_NOT_FOUND)
        return found


async def _serve(
    endpoint: Callable[[HttpCall[Any]], Awaitable[Response]], query: type[Struct], request: Request
) -> Response:
    """Let in who has an address of ours, or raise PERMISSION_DENIED; with a share of its own, as links have."""
    resources = resources_of(request)
    if resources.watches is None:
        raise SluiceError(ErrorCode.PERMISSION_DENIED, "The address is not one of ours.")
    token = request.path_params["token"]
    watched = resources.watches.read(token)
    principal, request.scope[SHARE_KEY] = resources.watches.take(
        watched, is_open=resources.service.access.ring.is_open()
    )
    request.scope[KNOWN_KEY] = True
    asked = read_query(request.query_params, query)
    return await endpoint(WatchCall(request, resources, principal, asked, watched=f"{WATCH_PATHS}{token}"))


async def link_watched(call: HttpCall[WatchedFileQuery]) -> Response:
    await call.run(read_status, call.ports, call.task_ref)  # that it is the export of this address
    link = await call.run(make_link, call.ports, call.task_ref, None)
    if call.query.redirect:
        return Response(status_code=302, headers={"Location": link.url})
    return json_response(LinkView(link.url, iso_time(link.expires_at)))


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
