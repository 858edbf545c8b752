"""An HTTP server as a function: all of it but the files for the relay, what only reads for the query function."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from sluice.adapters.aliyun.credentials import LatestCredentials
from sluice.api.http.app import RouteSet, build_http_app
from sluice.api.http.bodies.body import BodyTimeouts
from sluice.api.http.operation import json_response
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.app.aliyun import watches_of
from sluice.app.functions.platform_headers import split_head
from sluice.app.functions.web_function import HOST, WebFunction, run_web_function
from sluice.domain.limits import HOUR_S
from sluice.ports.log_context import choose_request_id

PORT = 9000
KEEP_ALIVE_S = HOUR_S
"""The gateway keeps its connections for a quarter of an hour; one that we close first can cost a request."""
CALLERS_PATH = "/http-invoke"
"""The control path of whatever a caller sent: such a request is never a hook, however it is addressed."""
HOOKS = {("POST", "/initialize"), ("GET", "/pre-stop")}
LIVE = "/health/live"
_TICK_S = 0.05


class PlatformMiddleware:
    """Middleware: the outermost code that a request to a function meets.

    ``warm`` is called, in a thread, by the initializer; it must not raise.
    ``closing`` is set by the hook before the instance stops, which is answered
    when nothing is under way any more, or after ``grace_s``.
    """

    def __init__(
        self,
        app: ASGIApp,
        latest: LatestCredentials,
        *,
        warm: Callable[[], object],
        closing: threading.Event,
        grace_s: float,
    ) -> None:
        self._app = app
        self._latest = latest
        self._warm = warm
        self._closing = closing
        self._grace_s = grace_s
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        callers, platform = split_head(sent)
        credentials = platform.credentials()
        if credentials is not None:
            self._latest.set(credentials)
        request = (scope["method"], scope["path"])
        if request in HOOKS and platform.control_path != CALLERS_PATH:
            if scope["path"] == "/initialize":
                await run_in_threadpool(self._warm)
            else:
                await self._drain()
            await json_response({"status": "ok"})(scope, receive, send)
        elif request in {("GET", LIVE), ("HEAD", LIVE)}:
            await json_response({"status": "ok"})(scope, receive, send)
        else:
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in callers]
            self._under_way += 1  # all in the thread of the event loop
            try:
                await self._app({**scope, "headers": headers}, receive, send)
            finally:
                self._under_way -= 1

    async def _drain(self) -> None:
        self._closing.set()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._grace_s
        while self._under_way and loop.time() < give_up_at:  # noqa: ASYNC110  # rare, and simpler than an event
            await asyncio.sleep(_TICK_S)


def run_http_function(component: str, routes: RouteSet) -> None:
    """Serve until a signal says stop."""
    run_web_function(component, partial(serve_http, routes=routes), port=PORT)


@contextmanager
def serve_http(function: WebFunction, port: int, *, routes: RouteSet) -> Iterator[int]:
    """Listen; at the end answer what is under way, within ``server.shutdown_grace_s``."""
    server, ports = function.settings.server, function.service.ports
    closing = threading.Event()
    app = build_http_app(
        function.service,
        routes=routes,
        watches=watches_of(function.settings, server.public_url),
        closing=closing,
        allowed_origins=function.settings.datasets.allowed_origins,
        body_timeouts=BodyTimeouts(idle_s=server.idle_timeout_s, total_s=server.request_timeout_s),
    )
    middleware = PlatformMiddleware(
        app, function.latest, warm=function.warm, closing=closing, grace_s=server.shutdown_grace_s
    )
    http = HttpServer(
        middleware,
        ListenOn(host=HOST, port=port, connections_max=server.connections_max, idle_s=KEEP_ALIVE_S),
        new_request_id=lambda: choose_request_id(None, ports.randomness),
        closing=closing,
    )
    listening = http.start()
    try:
        yield listening
    finally:
        http.drain(server.shutdown_grace_s)
