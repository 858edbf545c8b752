"""Takes connections on a port of this machine, one thread each, and asks for the answer to every request."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeAlias

from infra.emulators.tablestore.connections import Broken, Connection, Dropped, HttpAnswer, HttpRequest

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
