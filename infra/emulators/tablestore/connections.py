"""Connections to a port of this machine: HTTP/1.1 as far as the SDK speaks it, POST with a length, kept open."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import BinaryIO, NamedTuple, TypeAlias

from infra.emulators.tablestore.limits import BODY_BYTES_MAX

_HEADER_LINES_MAX = 100
_LINE_BYTES_MAX = 65_536
_RESET = struct.pack("ii", 1, 0)
_SEND_WITHIN = struct.pack("ll", 20, 0)
"""Seconds, after which a caller that does not take its answer is given up."""


class Broken(Exception):
    """The caller sent something that is no request, or went away in the middle of one."""


class HttpRequest(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    is_too_large: bool
    """The body was not read; the connection is of no more use."""


class HttpAnswer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_bytes: int | None = None
    """Close after this many bytes of the body; None sends it all."""


class Dropped(Exception):
    """The connection is reset without an answer."""


class Connection:
    """One caller's connection."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_WITHIN)
        self._socket = connected
        self._lines: BinaryIO = connected.makefile("rb")

    def receive(self) -> HttpRequest | None:
        """Return the next request; None when the caller closed. Raises Broken or OSError."""
        start = self._lines.readline(_LINE_BYTES_MAX)
        if not start:
            return None
        words = start.decode("latin-1").split()
        if len(words) != 3:
            raise Broken
        headers = self._headers()
        size = int(headers.get("content-length", "0"))
        is_too_large = size > BODY_BYTES_MAX
        body = b"" if is_too_large else self._lines.read(size)
        if not is_too_large and len(body) != size:
            raise Broken
        return HttpRequest(words[0], words[1], headers, body, is_too_large)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_HEADER_LINES_MAX):
            line = self._lines.readline(_LINE_BYTES_MAX)
            if line in {b"\r\n", b"\n"}:
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise Broken
            headers[name.strip().lower()] = value.strip()
        raise Broken

    def send(self, answer: HttpAnswer) -> None:
        """Send the answer in one piece. Raises OSError if the caller is gone."""
        head = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        head += [f"content-length: {len(answer.body)}", "", ""]
        self._socket.sendall("\r\n".join(head).encode("latin-1") + answer.body[: answer.sent_bytes])

    def reset(self) -> None:
        """Break the connection so that the caller sees a reset, not an end."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def wake(self) -> None:
        """End the wait for a next request, from another thread; an answer under way still goes out."""
        try:
            self._socket.shutdown(socket.SHUT_RD)
        except OSError:
            return  # it has ended already

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


Answers: TypeAlias = Callable[[HttpRequest, Callable[[], None]], HttpAnswer]
"""Gives the answer; may reset the connection with what it is handed. Raises Dropped to give none."""


class Listener:
    """Its threads end with it."""

    def __init__(self, answers: Answers, *, port: int) -> None:
        """Listen from now on; ``port`` 0 takes a free one."""
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self._stopping = threading.Event()
        self._connections: dict[Connection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name="tablestore-accept", daemon=True)

    def start(self) -> None:
        self._acceptor.start()

    def stop(self) -> None:
        """Close the port, let answers under way go out, close every connection, and wait for every thread."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # what wakes the thread that accepts
        self._socket.close()
        self._acceptor.join()
        with self._lock:
            conversations = dict(self._connections)
        for connection in conversations:
            connection.wake()
        for thread in conversations.values():
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connected, _ = self._socket.accept()
            except OSError:
                return
            connection = Connection(connected)
            thread = threading.Thread(target=self._converse, args=(connection,), name="tablestore", daemon=True)
            with self._lock:
                self._connections[connection] = thread
                thread.start()

    def _converse(self, connection: Connection) -> None:
        try:
            with contextlib.suppress(Broken, OSError, ValueError):
                while not self._stopping.is_set() and self._exchange(connection):
                    pass
        finally:
            connection.close()
            with self._lock:
                del self._connections[connection]

    def _exchange(self, connection: Connection) -> bool:
        """Take one request in and answer it; say whether the connection goes on."""
        request = connection.receive()
        if request is None:
            return False
        try:
            given = self._answers(request, connection.reset)
        except Dropped:
            connection.reset()
            return False
        connection.send(given)
        return given.sent_bytes is None and not request.is_too_large
