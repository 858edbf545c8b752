"""Stands between a caller and a service and does to every request what networks do now and then."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TROUBLES = ("lost_request", "lost_answer", "busy", "half_answer")
"""Every other request meets the next one, so that a call that is repeated gets through."""
HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class FlakyProxy(ThreadingHTTPServer):
    """Forwards to ``port`` on this machine; rewrites nothing. ``only`` the calls of one method meet trouble."""

    daemon_threads = True

    def __init__(self, port: int, *, only: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = port
        self.only = only
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.met: Counter[str] = Counter()
        self._turns = itertools.cycle(turn for trouble in TROUBLES for turn in (trouble, ""))
        self._lock = threading.Lock()

    def next_trouble(self) -> str:
        """The trouble that the request at hand meets; empty for none."""
        with self._lock:
            trouble = next(self._turns)
            self.met[trouble] += 1
            return trouble


class _Handler(BaseHTTPRequestHandler):
    server: FlakyProxy

    def _serve(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        is_spared = self.server.only and self.command != self.server.only
        trouble = "" if is_spared else self.server.next_trouble()
        if trouble == "lost_request":
            return
        if trouble == "busy":
            self.send_response(503)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        answer, content = self._forward(body)
        if trouble == "lost_answer":
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_HEADERS:
                self.send_header(name, value)
        size = answer.getheader("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("content-length", size)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if trouble == "half_answer" else content)

    def _forward(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_HEADERS}
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def flaky_proxy(port: int, *, only: str = "") -> Iterator[FlakyProxy]:
    with FlakyProxy(port, only=only) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
