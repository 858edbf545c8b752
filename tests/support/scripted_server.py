"""An HTTP server that answers as a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = {}
    sent_bytes: int | None = None
    """Close the connection after this many bytes of the body; 0 is before any answer at all."""


class ScriptedServer(ThreadingHTTPServer):
    """Asks ``script`` for the answer to each request."""

    daemon_threads = True

    def __init__(self, script: Callable[[Asked], Answer], *, keep_alive: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.keep_alive = keep_alive
        self.connections = 0
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of a test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        self.server.asked.append(asked)
        answer = self.server.script(asked)
        self.close_connection = not self.server.keep_alive or answer.sent_bytes is not None
        if answer.sent_bytes == 0:
            return
        self.send_response(answer.status)
        if self.close_connection:
            self.send_header("connection", "close")
        for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.sent_bytes])

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def scripted_server(script: Callable[[Asked], Answer], *, keep_alive: bool = False) -> Iterator[ScriptedServer]:
    with ScriptedServer(script, keep_alive=keep_alive) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Give the answers one after the other; the last one again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
