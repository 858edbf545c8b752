"""Around every HTTP request: its id, its log context, and the last net for what nobody foresaw."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluice.api.call_ids import choose_request_id, read_trace_parent, trace_id_of
from sluice.api.http_errors import REQUEST_ID_KEY, problem_response
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.clock import Clock, Randomness
from sluice.ports.journal import Journal
from sluice.ports.log_context import bound_context

TRACE_PARENT_KEY = "sluice.trace_parent"
COMPONENT = "http"

Observe = Callable[[str, str, int, float], None]
"""Told of every answer: method, route template, status, seconds."""


class Edge:
    """Middleware: the outermost code of ours that a request meets."""

    def __init__(
        self, app: ASGIApp, *, clock: Clock, randomness: Randomness, journal: Journal, observe: Observe | None
    ) -> None:
        self._app = app
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = choose_request_id(headers.get("x-request-id"), self._randomness)
        trace_parent = read_trace_parent(headers.get("traceparent"))
        scope[REQUEST_ID_KEY], scope[TRACE_PARENT_KEY] = request_id, trace_parent
        with bound_context(request_id=request_id, trace_id=trace_id_of(trace_parent), component=COMPONENT):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock.monotonic()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _mark(message, scope)
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:
            self._journal.record(Event.SYSTEM_ERROR, error=error)
            if status:
                raise  # half an answer is out: only closing the connection tells the caller
            answer = problem_response(SluiceError(ErrorCode.INTERNAL), request_id=scope[REQUEST_ID_KEY])
            await answer(scope, receive, send_marked)
        finally:
            self._note(scope, status, self._clock.monotonic() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        if self._observe is not None and status:
            route = getattr(scope.get("route"), "path", "")
            self._observe(scope["method"], route, status, seconds)


def _mark(message: Message, scope: Scope) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-ID"] = scope[REQUEST_ID_KEY]
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
