"""A server on this machine that says what a test wants, byte for byte."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

Script = Callable[[socket.socket], None]


@contextmanager
def hostile_server(script: Script) -> Iterator[int]:
    """Run ``script`` for each connection, in a thread of its own; gives the port. Its errors are of no interest."""
    connections: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            script(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connections.append(connection)
                Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def receive(connection: socket.socket) -> bytes:
    """What is there next; raises ``OSError`` at the end."""
    received = connection.recv(65_536)
    if not received:
        raise ConnectionResetError
    return received
