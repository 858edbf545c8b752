"""An HTTP face as a function: all of it but the files for the relay, what only reads for the query function."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sluice.api.call_ids import choose_request_id
from sluice.api.http.app import Offer, build_http_app
from sluice.api.http.bodies.body import Patience
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.app.functions.platform_edge import PlatformEdge
from sluice.app.functions.web_function import HOST, WebFunction, run_web_function
from sluice.domain.limits import HOUR_S

PORT = 9000
KEEP_ALIVE_S = HOUR_S
"""The gateway keeps its connections for a quarter of an hour; one that we close first can cost a request."""


def run_http_function(component: str, offer: Offer) -> None:
    """Serve until a signal says stop."""
    run_web_function(component, partial(serve_http, offer=offer), port=PORT)


@contextmanager
def serve_http(function: WebFunction, port: int, *, offer: Offer) -> Iterator[int]:
    """Listen; at the end answer what is under way, within ``server.shutdown_grace_s``."""
    server, ports = function.settings.server, function.service.ports
    closing = threading.Event()
    app = build_http_app(
        function.service,
        offer=offer,
        closing=closing,
        patience=Patience(idle_s=server.idle_timeout_s, total_s=server.request_timeout_s),
    )
    edge = PlatformEdge(app, function.latest, warm=function.warm, closing=closing, grace_s=server.shutdown_grace_s)
    http = HttpServer(
        edge,
        ListenOn(host=HOST, port=port, connections_max=server.connections_max, idle_s=KEEP_ALIVE_S),
        new_request_id=lambda: choose_request_id(None, ports.randomness),
        closing=closing,
    )
    listening = http.start()
    try:
        yield listening
    finally:
        http.drain(server.shutdown_grace_s)
