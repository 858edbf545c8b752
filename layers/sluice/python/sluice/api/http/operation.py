"""One operation of the HTTP API, declared once for ``routes`` and for the document that ``routes/openapi.py`` makes."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes
from weakref import WeakValueDictionary

import msgspec
from anyio import CapacityLimiter, to_thread
from msgspec import inspect
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope as AsgiScope

from sluice.api.auth import NO_KEY, Principal, Shares
from sluice.api.http.bodies.body import JSON, BodyBudget, BodyTimeouts
from sluice.api.http.bodies.kinds import plain_types, values_of
from sluice.api.http.errors import KNOWN_KEY, SHARE_KEY, HttpError, invalid_request
from sluice.api.http.links import VerifiesLinks
from sluice.api.http.server.middleware import CHANGES_NOTHING
from sluice.api.http.watches import Watches
from sluice.api.service import DECODED_MAX, DECODED_OF_TENANT_MAX, LISTS_OF_TENANT, ROOM_POLL_S, SOURCES_MAX, Service
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, make_ref
from sluice.domain.options import ExportFormat
from sluice.ports.bundle import Ports
from sluice.usecases.reading.read_task import find_task

Result = TypeVar("Result")
Turns: TypeAlias = WeakValueDictionary[str, CapacityLimiter]
Query = TypeVar("Query", bound=msgspec.Struct)

Declared = dict[str, Any]
"""A part of the OpenAPI document."""

WORKERS = 40
WORKERS_OF_TENANT = 20
"""Of one tenant, where there are API keys: a call of another finds a thread, however many wait."""
SENDERS_MAX = 16
"""Tables of any length that are sent at a time."""
DOWNLOADS_PART = 0.4
"""Of the connections, for those that come with a link: a link is passed on, and reading may take hours. With half of it
for the files of one tenant, and half of the requests for its keys, neither a tenant nor all links leave others none."""
SHOWN_CHARS_MAX = 64
"""How much of an unknown name an answer repeats."""


class NoQuery(msgspec.Struct, frozen=True):
    """The query parameters of an operation that has none."""


class RequestBody(NamedTuple):
    """What a body may be: by content type, a struct or a schema, and an example of each that is text."""

    content: Mapping[str, type | Declared]
    examples: Mapping[str, object]
    required: bool = True


class Answer(NamedTuple):
    """One way in which an operation answers. ``headers`` are names of ``openapi.ANSWER_HEADERS``."""

    description: str
    content: Mapping[str, type | Declared] = {}
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is served at one path for one method.

    ``endpoint`` takes an ``HttpCall`` whose query is a ``query``; without a
    ``scope`` it takes the request as it came, of any caller.
    """

    id: str
    """Its name in the document; the name of the function in generated clients."""
    method: str
    path: str
    summary: str
    endpoint: Callable[[Any], Awaitable[Response]]
    scope: Scope | None
    query: type[msgspec.Struct] = NoQuery
    """Its fields are the query parameters; one whose default is a tuple may be repeated."""
    headers: tuple[Declared, ...] = ()
    body: RequestBody | None = None
    answers: Mapping[int, Answer]
    """Those that are no problem document of ``codes``."""
    codes: tuple[ErrorCode, ...] = ()
    """Besides those with which any operation may answer."""
    description: str = ""
    """What a caller must know besides the summary."""


class OperationRoute(Route):
    """The route of an operation. Serves its method alone: a GET does not answer HEAD."""

    def __init__(self, operation: Operation) -> None:
        async def endpoint(request: Request) -> Response:
            return await _serve(operation, request)

        super().__init__(operation.path, endpoint, methods=[operation.method], name=operation.id)
        self.methods = {operation.method}

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        """Leave the route in the scope: its template is the label of metrics."""
        match, child_scope = super().matches(scope)
        return match, child_scope if match is Match.NONE else {**child_scope, "route": self}


async def _serve(operation: Operation, request: Request) -> Response:
    """Let the caller in, or raise UNAUTHENTICATED, RATE_LIMITED or PERMISSION_DENIED before anything else is read."""
    if operation.scope is None:
        check_query_text(request.scope["query_string"])
        return await operation.endpoint(request)
    resources = resources_of(request)
    principal = resources.service.access.admit(request.headers.get("authorization"), operation.scope)
    request.scope[SHARE_KEY] = resources.requests.take(principal)
    request.scope[KNOWN_KEY] = True  # and never without a share
    check_query_text(request.scope["query_string"])
    query = read_query(request.query_params, operation.query)
    call = HttpCall(request, resources, principal, query)
    await _check_match(call)
    return await operation.endpoint(call)


async def _check_match(call: HttpCall[Any]) -> None:
    """Raise 412 for an ``If-Match`` that names a tag: those of exports are weak, which it never matches.

    A call that would fail without it fails as it would (RFC 9110, 13.2.1).
    """
    if call.request.headers.get("if-match", "*").strip() == "*":
        return
    if "task_id" in call.request.path_params:
        await call.run(find_task, call.ports, call.task_ref)
    detail = "If-Match takes * alone: an export changes by itself, so its tags are weak and no tag matches."
    raise HttpError(412, invalid_request(detail, field="If-Match"))


def check_query_text(query: bytes) -> None:
    """Raise INVALID_TEXT with ``field`` for a parameter that is not UTF-8: it would be read as another text."""
    for parameter in query.split(b"&"):
        try:
            unquote_to_bytes(parameter).decode()
        except UnicodeDecodeError:
            name = unquote_to_bytes(parameter.partition(b"=")[0]).decode(errors="replace")[:SHOWN_CHARS_MAX]
            detail = "A parameter of the query is not UTF-8, percent-encoded."
            raise SluiceError(ErrorCode.INVALID_TEXT, detail, field=name) from None


def _limiter(threads: int) -> Callable[[], CapacityLimiter]:
    return lambda: CapacityLimiter(threads)


@dataclass(frozen=True, kw_only=True)
class HttpResources:
    """What all requests of one server share. Use cases block, so they run in threads; each kind of work has its own."""

    service: Service
    links: VerifiesLinks | None = None
    watches: Watches | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server drains: callers that wait are answered now."""
    keep_alive_s: float = 15
    """Proxies cut silent connections; a stream of events sends a comment this often."""
    body_timeouts: BodyTimeouts = field(default_factory=BodyTimeouts)
    body_budget: BodyBudget = field(default_factory=BodyBudget)
    workers: CapacityLimiter = field(default_factory=_limiter(WORKERS))
    worker_turns: Turns = field(default_factory=WeakValueDictionary)
    """Of each tenant that has a worker or waits for one; ``list_turns`` are of those that list."""
    list_turns: Turns = field(default_factory=WeakValueDictionary)
    source_turns: Turns = field(default_factory=WeakValueDictionary)
    """Of each tenant that waits for a database."""
    source_threads: CapacityLimiter = field(default_factory=_limiter(SOURCES_MAX))
    decoders: CapacityLimiter = field(default_factory=_limiter(DECODED_MAX))
    """Batches that are decoded: a limiter of its own, since ``workers`` answer all other calls."""
    unpacking_turns: Turns = field(default_factory=WeakValueDictionary)
    """Of each tenant that unpacks a body or waits for it."""
    requests: Shares = field(default_factory=lambda: Shares(1_000, what="requests"))
    """Requests under way, those that wait included."""
    downloads: Shares = field(default_factory=lambda: Shares(int(1_000 * DOWNLOADS_PART), what="downloads"))
    """Requests under way that came with a link, by the tenant whose file it is."""
    senders: CapacityLimiter = field(default_factory=_limiter(SENDERS_MAX))
    """Bodies of any length, each of which takes a thread from its first byte to its last."""
    tables: Shares = field(default_factory=lambda: Shares(SENDERS_MAX, what="tables"))
    """The same bodies, by tenant."""
    long_rows: Shares = field(default_factory=lambda: Shares(DECODED_MAX, what="tables with a row of more than 1 MiB"))
    """Those of them that had a row of ``LONG_ROW_BYTES``, which takes many times its size while it is read."""
    readers: CapacityLimiter = field(default_factory=_limiter(16))
    """Blocks of files that are read for downloads."""

    @property
    def ports(self) -> Ports:
        return self.service.ports

    @property
    def body_bytes_max(self) -> int:
        return self.ports.limits.input_bytes_max


def resources_of(request: Request) -> HttpResources:
    resources: HttpResources = request.app.state.resources
    return resources


@dataclass(frozen=True)
class HttpCall(Generic[Query]):
    """A request of a known caller. The tenant comes from the credential and from nowhere else."""

    request: Request
    resources: HttpResources
    principal: Principal
    query: Query

    @property
    def ports(self) -> Ports:
        return self.resources.ports

    @property
    def task_ref(self) -> TaskRef:
        """The task that the path names. Raises TASK_NOT_FOUND for text that is no task id."""
        return make_ref(self.principal.tenant, self.request.path_params["task_id"])

    @property
    def watched(self) -> str | None:
        """The path of the watch address that let the caller in; None for a caller with a key."""
        return None

    def check_key(self) -> None:
        """Raise UNAUTHENTICATED once the caller's key is revoked or past its time: a long answer asks now and then."""
        self.resources.service.access.ring.authenticate(self.request.headers.get("authorization"))

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do blocking work in a thread. What only reads is not begun for a caller that went away while it waited."""
        limiter = self.resources.workers
        async with self._turn(self.resources.worker_turns, WORKERS, WORKERS_OF_TENANT):
            if self.request.method not in CHANGES_NOTHING:
                return await to_thread.run_sync(work, *arguments, limiter=limiter)
            async with limiter:
                return await self._run_if_connected(work, *arguments)

    async def run_listing(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """As ``run``, for what reads much: a tenant has few at a time, whatever it asks for."""
        async with self.listing_turn:
            return await self.run(work, *arguments)

    @property
    def source_turn(self) -> CapacityLimiter:
        """The turn to wait for a database."""
        return self._turn(self.resources.source_turns, LISTS_OF_TENANT, LISTS_OF_TENANT)

    @property
    def listing_turn(self) -> CapacityLimiter:
        """The turn to do what reads much."""
        return self._turn(self.resources.list_turns, LISTS_OF_TENANT, LISTS_OF_TENANT)

    @property
    def unpacking_turn(self) -> CapacityLimiter:
        """The turn to unpack what the caller sends."""
        return self._turn(self.resources.unpacking_turns, DECODED_MAX, DECODED_OF_TENANT_MAX)

    def _turn(self, turns: Turns, turns_max: int, of_tenant: int) -> CapacityLimiter:
        """The turns of the caller's tenant. Without keys every caller is the one tenant there is."""
        size = turns_max if self.principal.key_id == NO_KEY else of_tenant
        return turns.setdefault(self.principal.tenant, CapacityLimiter(size))

    async def _run_if_connected(self, work: Callable[..., Result], *arguments: Any) -> Result:
        if await self.request.is_disconnected():
            raise ClientDisconnect
        return await to_thread.run_sync(work, *arguments, limiter=CapacityLimiter(1))

    async def decode(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Decode a batch in a thread. It waits for its turn, which gRPC's calls share, without one.

        Raises ``ClientDisconnect`` for a caller that goes away while it waits.
        """
        has_turn, loop = asyncio.Event(), asyncio.get_running_loop()
        place = self.resources.service.decoding.ask(self.principal, partial(_wake, loop, has_turn))
        try:
            while not place.has_turn():
                with suppress(TimeoutError):
                    await asyncio.wait_for(has_turn.wait(), ROOM_POLL_S)
                if not place.has_turn() and await self.request.is_disconnected():
                    raise ClientDisconnect
            return await to_thread.run_sync(work, *arguments, limiter=self.resources.decoders)
        finally:
            place.leave()

    async def run_with_room(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """As ``run``, for what opens an export: while the queue is full it waits for room, and no thread waits."""
        give_up_at = self.ports.clock.monotonic() + self.resources.service.admit_timeout_s
        while True:
            try:
                return await self.run(work, *arguments)
            except SluiceError as error:
                if error.code is not ErrorCode.QUEUE_FULL or not await self.wait_for_room(give_up_at):
                    raise

    async def wait_for_room(self, give_up_at: float) -> bool:
        """Whether there is room for an export before the time is up, the caller gone or the service stopping."""
        while not self.ports.admission.has_room(self.principal.tenant):
            is_over = self.ports.clock.monotonic() >= give_up_at or self.resources.closing.is_set()
            if is_over or await self.request.is_disconnected():
                return False
            await asyncio.sleep(ROOM_POLL_S)
        return self.ports.clock.monotonic() < give_up_at


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set an event of a loop from any thread; where the loop has ended nothing waits any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers=headers, media_type=JSON)


def read_query(sent: QueryParams, model: type[Query]) -> Query:
    """Read the query parameters. Raises INVALID_REQUEST with ``field``, and UNSUPPORTED_FORMAT.

    A name that would be ignored is refused, for it may be a typo, and so is one that is given twice.
    """
    fields = _fields_of(model)
    given: dict[str, Any] = {}
    for name, text in sent.multi_items():
        shown = name[:SHOWN_CHARS_MAX]
        if name not in fields:
            raise invalid_request(f"{shown} is no parameter of this call", field=shown, known=sorted(fields))
        if isinstance(fields[name].default, tuple):
            given[name] = (*given.get(name, ()), text)
        elif name in given:
            raise invalid_request(f"{shown} is given twice", field=shown)
        else:
            given[name] = text
    for name, declared in fields.items():
        if declared.required and name not in given:
            raise invalid_request(f"{name} is required", field=name)
    try:
        query = msgspec.convert(given, model, strict=False)
    except msgspec.ValidationError as error:
        raise _unreadable(str(error), model) from None
    for name in given:
        if getattr(query, name) == math.inf:
            raise invalid_request(f"{name} should be a finite number", field=name)
    return query


@cache
def _fields_of(model: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(model)}


_PATH = re.compile(r" - at `\$\.(\w+)")
_BOUND = re.compile(r"(>=|<=) (-?[0-9.]+)")
_BOUNDS = {">=": "greater", "<=": "less"}
_KINDS: dict[type, str] = {
    inspect.IntType: "a valid integer",
    inspect.FloatType: "a valid number",
    inspect.BoolType: "true or false",
}


def _unreadable(message: str, model: type[msgspec.Struct]) -> SluiceError:
    """Name the parameter that could not be read and what it may be, and never its value."""
    found, info = _PATH.search(message), inspect.type_info(model)
    assert found is not None  # msgspec names the field
    assert isinstance(info, inspect.StructType)
    name = found[1]
    kinds = plain_types(next(declared.type for declared in info.fields if declared.encode_name == name))
    if any(isinstance(kind, inspect.EnumType) and kind.cls is ExportFormat for kind in kinds):
        return SluiceError(ErrorCode.UNSUPPORTED_FORMAT, formats=[known.value for known in ExportFormat])
    bound = _BOUND.search(message)
    if values := values_of(kinds):
        allowed = values
    elif bound:
        allowed = f"{_BOUNDS[bound[1]]} than or equal to {bound[2].removesuffix('.0')}"
    else:
        allowed = next((_KINDS[type(kind)] for kind in kinds if type(kind) in _KINDS), "another value")
    return invalid_request(f"{name} should be {allowed}", field=name)
