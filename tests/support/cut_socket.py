"""A socket before a server's own that cuts a connection once the server has got so many messages of its client."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

BLOCK_BYTES = 1 << 16
ANSWERS_IN_S = 0.1
"""Not every message has an answer; what a slow server does later it does all the same."""


class CutSocket:
    """``after`` says behind how many messages of a connection it is cut; the answer to the last one is lost."""

    def __init__(self, server: str, listener: socket.socket) -> None:
        self.after = 0
        self.was_cut = False
        self._server = server
        self._listener = listener

    def serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        left = self.after
        with closing(client), closing(socket.socket(socket.AF_UNIX)) as server, suppress(OSError):
            server.connect(self._server)
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(BLOCK_BYTES)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)
                    left -= ready is client
                    if not left:
                        select.select([server], [], [], ANSWERS_IN_S)  # it has done what it was asked for
                        self.was_cut = True
                        return


@contextmanager
def cutting_socket(server: str, path: Path) -> Iterator[CutSocket]:
    """Listen at ``path`` for the server that listens at the other path."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        one = CutSocket(server, listener)
        thread = threading.Thread(target=one.serve, daemon=True)
        thread.start()
        yield one
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
