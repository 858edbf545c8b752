"""Around every HTTP request: its id, its log context, whose page sent it, and an answer to unforeseen errors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluice.api.auth import KeyRing, OpenRing, is_loopback
from sluice.api.error_status import forget_frames, record_error
from sluice.api.http.errors import (
    DATASET_PATHS,
    HEAD_BYTES_MAX,
    REQUEST_ID_KEY,
    SHARE_KEY,
    WATCH_PATHS,
    head_too_large,
    invalid_request,
    problem_response,
    request_id_of,
)
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.clock import Clock, Randomness
from sluice.ports.journal import Journal
from sluice.ports.log_context import bound_context, choose_request_id, read_trace_parent, trace_id_of
from sluice.ports.store_errors import StoreError

TRACE_PARENT_KEY = "sluice.trace_parent"
COMPONENT = "http"
STOPPING = "The service is stopping; send the request again."
CHANGES_NOTHING = frozenset({"GET", "HEAD"})
_ONCE = frozenset({b"authorization", b"content-type", b"idempotency-key"})
"""Fields of which two would be read one way here and another way by a proxy."""

_ABSOLUTE = re.compile(rb"https?://(?P<host>[^/]*)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)

_FOR_ANY_SITE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "If-None-Match, Last-Event-ID",
    "Access-Control-Expose-Headers": "ETag, Retry-After, X-Request-ID",
    "Access-Control-Max-Age": "86400",
}
"""Without Access-Control-Allow-Credentials, so that a browser sends none."""
_FOR_NAMED_ORIGINS = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
    "Access-Control-Expose-Headers": (
        "Content-Disposition, Content-Encoding, ETag, Idempotent-Replayed, Repr-Digest, Retry-After, Sluice-Rows, "
        "Sluice-Task, X-Request-ID"
    ),
    "Access-Control-Max-Age": "7200",
}
"""A page gives its user's token itself: a browser sends no credential of its own here either."""

Observe = Callable[[str, str, int, float], None]
"""Called with every answer: method, route template, status, seconds."""


class RequestMiddleware:
    """The outermost code of ours that a request meets."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
        observe: Observe | None,
        allowed_origins: Collection[str] = (),
    ) -> None:
        """Pages of ``allowed_origins`` may ask for datasets."""
        self._app = app
        self._allowed_origins = allowed_origins
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _use_absolute_target(scope)
        headers = Headers(scope=scope)
        request_id = choose_request_id(headers.get("x-request-id"), self._randomness)
        trace_parent = read_trace_parent(headers.get("traceparent"))
        scope[REQUEST_ID_KEY], scope[TRACE_PARENT_KEY] = request_id, trace_parent
        with bound_context(request_id=request_id, trace_id=trace_id_of(trace_parent), component=COMPONENT):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock.monotonic()
        status = 0

        async def send_extended(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope[REQUEST_ID_KEY]
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
                headers.update(_shared_with(scope, self._allowed_origins))
            await send(message)

        try:
            await (self._refuse(scope) or self._app)(scope, receive, send_extended)
        except asyncio.CancelledError:
            if not status:  # the time to drain is over, and what became of the request is not known
                stopping = record_error(SluiceError(ErrorCode.STORE_UNAVAILABLE, STOPPING), self._journal)
                answer = problem_response(stopping, request_id=scope[REQUEST_ID_KEY])
                await answer(scope, receive, send_extended)
            raise
        except Exception as error:
            self._journal.record(Event.SYSTEM_ERROR, error=error)
            if status:
                raise  # half an answer is out: only closing the connection tells the caller
            forget_frames(error)
            answer = problem_response(SluiceError(ErrorCode.INTERNAL), request_id=scope[REQUEST_ID_KEY])
            await answer(scope, receive, send_extended)
        finally:
            if SHARE_KEY in scope:
                scope.pop(SHARE_KEY)()
            if self._observe is not None and status:
                route = getattr(scope.get("route"), "path", "")
                self._observe(scope["method"], route, status, self._clock.monotonic() - started)

    def _refuse(self, scope: Scope) -> Response | None:
        """The answer to a head that is too large or says two lengths; None for any other."""
        request_id, fields = scope[REQUEST_ID_KEY], scope["headers"]
        head_bytes = sum(len(name) + len(value) for name, value in fields)
        head_bytes += len(scope["raw_path"]) + len(scope["query_string"])
        if head_bytes > HEAD_BYTES_MAX:
            # The server bounds a head that comes in pieces; one that comes at once is found here.
            known = record_error(head_too_large(), self._journal)
            return problem_response(known, request_id=request_id, status=431)
        names = [name for name, _ in fields if name in _ONCE]
        if len(names) > len(set(names)):
            twice = next(name for name in names if names.count(name) > 1).decode("ascii").title()
            known = record_error(invalid_request(f"{twice} is given twice", field=twice), self._journal)
            return problem_response(known, request_id=request_id)
        if {b"transfer-encoding", b"content-length"} <= {name for name, _ in fields}:
            # A proxy may read the other of the two (RFC 9112, 6.1), so what follows may be another's request.
            detail = "A request has Transfer-Encoding or Content-Length, not both."
            known = record_error(invalid_request(detail, field="Content-Length"), self._journal)
            return problem_response(known, request_id=request_id, headers={"Connection": "close"})
        return None


def _shared_with(scope: Scope, allowed_origins: Collection[str]) -> dict[str, str]:
    """What lets pages of other origins read the answer (CORS)."""
    if scope["path"].startswith(WATCH_PATHS):
        return _FOR_ANY_SITE
    if not (allowed_origins and _is_of_datasets(scope)):
        return {}
    origin = Headers(scope=scope).get("origin", "")
    if origin not in allowed_origins:
        return {"Vary": "Origin"}
    return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, **_FOR_NAMED_ORIGINS}


def _is_of_datasets(scope: Scope) -> bool:
    return f"{scope['path']}/".startswith(f"{DATASET_PATHS}/")


def _use_absolute_target(scope: Scope) -> None:
    """Take a target such as ``http://host/path`` for its path, and its host for ``Host`` (RFC 9112, 3.2.2)."""
    found = _ABSOLUTE.fullmatch(scope["raw_path"])
    if found is None:
        return
    scope["raw_path"] = found["path"] or b"/"
    scope["path"] = unquote(scope["raw_path"].decode("ascii"))
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope["headers"] = [(b"host", found["host"]), *others]


class SiteMiddleware:
    """Middleware: while there are no API keys, refuses what a page of another site sent, at any path.

    Without keys the address is all that protects the service, and a browser reaches it for any page. A page whose
    name was made to lead here shows itself by ``Host``; a page that posts across sites by ``Sec-Fetch-Site`` or
    ``Origin``. ``hosts`` are further names of this service. The keys are read for such requests alone.
    Pages of ``allowed_origins`` may call for datasets, which are given to no one without a user's token or a key.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ring: KeyRing | OpenRing,
        hosts: Iterable[str],
        journal: Journal,
        allowed_origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._ring = ring
        self._hosts = frozenset(hosts)
        self._allowed_origins = allowed_origins
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        refusal = self._refuse(scope) if scope["type"] == "http" else None
        if refusal is not None:
            try:
                is_refused = self._ring.is_open()
            except StoreError as error:
                is_refused, refusal = True, error
            if is_refused:
                app = problem_response(record_error(refusal, self._journal), request_id=request_id_of(scope))
        await app(scope, receive, send)

    def _refuse(self, scope: Scope) -> SluiceError | StoreError | None:
        method, headers = scope["method"], Headers(scope=scope)
        is_preflight = method == "OPTIONS" and scope["path"].startswith(WATCH_PATHS)
        host = headers.get("host", "")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()
        if host and not is_loopback(name) and name not in self._hosts:
            detail = "Without API keys the service answers only under this machine's own names, such as 127.0.0.1."
            return SluiceError(ErrorCode.PERMISSION_DENIED, detail, field="Host")
        origin = headers.get("origin")
        if origin in self._allowed_origins and _is_of_datasets(scope):
            return None
        is_foreign = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        if not (is_preflight or method in CHANGES_NOTHING) and (
            is_foreign or (origin is not None and origin.partition("://")[2] != host)
        ):
            detail = "Without API keys no page of another site may change anything: make one, `sluice keys add TENANT`."
            return SluiceError(ErrorCode.PERMISSION_DENIED, detail, field="Origin")
        return None
