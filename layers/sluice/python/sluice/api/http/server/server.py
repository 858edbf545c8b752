"""Serves an ASGI application from a thread of its own: bind, start, drain."""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from sluice.api.http.server.connection import connection_factory
from sluice.api.http.server.connection_rules import ConnectionRules

BACKLOG = 256
"""Connections that the system keeps until they are accepted."""
ACCEPTED_AT_ONCE = 8
"""Of these, in one turn of the event loop: those that came before are read before many others may take their room."""
_TICK_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOn:
    """Where a server listens, and its limits on connections."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    connections_max: int = 1_000
    strangers_max: int = 100
    """Connections on which no caller was let in."""
    stranger_s: float = 5
    """As ``idle_s``, until a caller was let in."""
    stranger_answer_s: float = 30
    """From a stranger's request to the last byte of its answer: longer than stores that hang keep a health check."""
    idle_s: float = 15
    """For the head of a request to arrive whole, for the next request of a connection to begin, and for its reader."""
    tls_certificate_file: str = ""
    tls_key_file: str = ""


class HttpServer:
    """One listening port."""

    def __init__(
        self,
        app: ASGIApp,
        listen_on: ListenOn,
        *,
        new_request_id: Callable[[], str],
        closing: threading.Event | None = None,
    ) -> None:
        """``closing`` is set when the server drains, for long answers of ``app`` to end."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if listen_on.tls_certificate_file else None
        rules = ConnectionRules(
            idle_s=listen_on.idle_s,
            connections_max=listen_on.connections_max,
            strangers_max=min(listen_on.strangers_max, listen_on.connections_max),
            stranger_s=min(listen_on.stranger_s, listen_on.idle_s),
            stranger_answer_s=listen_on.stranger_answer_s,
            new_request_id=new_request_id,
            tls=self._tls,
        )
        self._listen_on = listen_on
        self._closing = closing or threading.Event()
        self._failure: BaseException | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=connection_factory(rules),
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",  # the middleware records in the journal; the rest is about broken callers
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=math.ceil(listen_on.idle_s),
                # Reading that goes on within a request would have the next one begin with what is bound for this one.
                reset_contextvars=True,
                backlog=ACCEPTED_AT_ONCE,  # which asyncio takes for both; ``_Listener`` has the other
            )
        )
        self._thread = threading.Thread(target=self._serve, name="http-server", daemon=True)
        self._socket: socket.socket | None = None

    def start(self) -> int:
        """Bind and serve; returns the port once it answers. Raises OSError when the port is taken."""
        self._socket = _bind(self._listen_on.host, self._listen_on.port)
        port: int = self._socket.getsockname()[1]
        self._thread.start()
        while not self._server.started:
            self._thread.join(_TICK_S)
            if not self._thread.is_alive():
                raise RuntimeError("the HTTP server did not start") from self._failure
        return port

    def drain(self, deadline_s: float) -> None:
        """Take no more connections, answer what is under way within ``deadline_s``, and stop."""
        self._closing.set()
        if not self._thread.is_alive():
            return
        self._server.config.timeout_graceful_shutdown = math.ceil(deadline_s)
        self._server.should_exit = True
        self._thread.join(deadline_s + 1)

    def _serve(self) -> None:
        assert self._socket is not None
        try:
            if self._tls is not None:  # uvicorn knows nothing of it: connections begin TLS themselves
                self._tls.load_cert_chain(self._listen_on.tls_certificate_file, self._listen_on.tls_key_file or None)
            self._server.run(sockets=[self._socket])
        except BaseException as error:  # noqa: BLE001  # start() raises it
            self._failure = error
        finally:
            self._socket.close()


class _Listener(socket.socket):
    """Keeps ``BACKLOG`` connections, however few are accepted at once."""

    def listen(self, _accepted_at_once: int = 0, /) -> None:
        super().listen(BACKLOG)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that name their protocol; on, it costs 40 ms an answer.
    listener = _Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
