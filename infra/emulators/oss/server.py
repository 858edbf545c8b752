"""The server: a port on this machine, a thread for each connection, and what a test holds in its hand."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.emulators.oss.connection import Connection
from infra.emulators.oss.events import Events, Listener
from infra.emulators.oss.exchange import Call, Exchange
from infra.emulators.oss.faults import Faults
from infra.emulators.oss.key_ring import ACCESS_KEY_ID, ACCESS_KEY_SECRET, KeyRing
from infra.emulators.oss.server_clock import ServerClock
from infra.emulators.oss.storage import Bucket, Storage
from infra.emulators.oss.store import Store
from infra.emulators.oss.uploads import Uploads

TLS_HANDSHAKE = b"\x16"
EVERYTHING = (("*", "*"),)


class OssServer:
    """Begins to serve when made, and serves until closed. ``port`` 0 is a free one."""

    access_key_id = ACCESS_KEY_ID
    access_key_secret = ACCESS_KEY_SECRET

    def __init__(
        self, folder: Path, *, buckets: Iterable[str] = (), port: int = 0, region: str = "cn-hangzhou"
    ) -> None:
        self.region = region
        self.clock = ServerClock()
        self.defects: list[BaseException] = []
        """What went wrong inside the emulator or its listeners; ``serving_oss`` raises it at the end."""
        self.domains: dict[str, str] = {}
        """Own domain names, each for a bucket, as a CNAME would have it."""
        self.tls: ssl.SSLContext | None = None
        """With one, the port serves TLS too, by the certificates in it."""
        self.events = Events(region, self.defects.append)
        storage = Storage(folder)
        self.store = Store(region, self.clock, KeyRing(self.clock), storage, Uploads(storage), self.events)
        self._stopping = threading.Event()
        self._exchange = Exchange(self.store, stopping=self._stopping, on_defect=self.defects.append)
        self._connections: dict[threading.Thread, Connection] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        for name in buckets:
            self.add_bucket(name)
        self._thread = threading.Thread(target=self._accept, name="oss-accept", daemon=True)
        self._thread.start()

    @property
    def faults(self) -> Faults:
        return self._exchange.faults

    @property
    def requests(self) -> list[Call]:
        """Every request since the start, or since it was cleared, in the order they were decided."""
        return self._exchange.calls

    @property
    def part_bytes_min(self) -> int:
        """How small a part may be, the last aside; OSS has 102,400."""
        return self.store.uploads.part_bytes_min

    @part_bytes_min.setter
    def part_bytes_min(self, size: int) -> None:
        self.store.uploads.part_bytes_min = size

    def add_bucket(self, name: str) -> None:
        self.store.storage.buckets[name] = Bucket(name, self.clock.now())

    def issue_sts(
        self, life_s: float = 3600, *, grants: Iterable[tuple[str, str]] = EVERYTHING
    ) -> tuple[str, str, str]:
        """Make temporary credentials: key id, secret, token. A life of 0 or less is over already.

        ``grants`` are pairs of shell patterns: an operation such as ``GetObject``, and ``bucket/key``.
        """
        return self.store.keys.issue_sts(life_s, grants)

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with each event as Function Compute's trigger would write it, in a thread of the server."""
        self.events.listen(listener)

    def settle(self, timeout_s: float = 10) -> None:
        """Wait until every event of a request answered so far was delivered. Raises TimeoutError."""
        self.events.settle(timeout_s)

    def keys(self, bucket: str) -> list[str]:
        """What is in a bucket now; for assertions, past the protocol."""
        with self.store.storage.lock:
            return list(self.store.storage.bucket(bucket).keys)

    def content(self, bucket: str, key: str) -> bytes:
        """An object's bytes as stored; for assertions, past the protocol."""
        _, file = self.store.storage.open(bucket, key)
        with file:
            return file.read()

    def metadata(self, bucket: str, key: str) -> Mapping[str, str]:
        """The headers kept with an object; for assertions, past the protocol."""
        with self.store.storage.lock:
            return self.store.storage.find(bucket, key).headers

    def upload_ids(self, bucket: str) -> list[str]:
        """The uploads begun and not over; for assertions, past the protocol."""
        return [upload.id for upload in self.store.uploads.of_bucket(bucket)]

    def close(self) -> None:
        """Stop: no new connection, no open one, every thread ended, every event delivered."""
        self._stopping.set()
        self.faults.clear()
        with suppress(ConnectionError):  # a caller that came just now has woken the thread that accepts
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for thread, connection in list(self._connections.items()):
            connection.shut_down()
            thread.join()
        self.events.close()

    def _accept(self) -> None:
        with self._listener:
            while True:
                sock, _ = self._listener.accept()
                if self._stopping.is_set():
                    sock.close()
                    return
                secured = self._secured(sock)
                if secured is None:
                    continue
                connection = Connection(secured, self._exchange, clock=self.clock, domains=self.domains)
                thread = threading.Thread(target=self._run, args=(connection,), name="oss-connection", daemon=True)
                self._connections[thread] = connection
                thread.start()

    def _secured(self, sock: socket.socket) -> socket.socket | None:
        """The connection, by TLS when the caller begins so; None when the two do not agree on one."""
        if self.tls is None or sock.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE:
            return sock
        try:
            return self.tls.wrap_socket(sock, server_side=True)
        except OSError:  # the caller does not trust the certificate, or has gone
            sock.close()
            return None

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        except Exception as defect:  # noqa: BLE001 - raised at the end of the test, not lost in a thread
            self.defects.append(defect)
        finally:
            self._connections.pop(threading.current_thread(), None)


@contextmanager
def serving_oss(
    *, buckets: Iterable[str] = ("sluice-in", "sluice-out"), folder: Path | None = None, port: int = 0
) -> Iterator[OssServer]:
    """Serve while the block runs, in threads of this process; without a folder, in one that is removed after."""
    with _folder_or_temporary(folder) as root:
        server = OssServer(root, buckets=buckets, port=port)
        try:
            yield server
        finally:
            server.close()
        if server.defects:
            raise ExceptionGroup("the OSS stand-in or a listener failed", list(_exceptions(server.defects)))


@contextmanager
def _folder_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder / "oss"
        return
    with tempfile.TemporaryDirectory(prefix="oss-stand-in-") as temporary:
        yield Path(temporary)


def _exceptions(defects: Iterable[BaseException]) -> Iterator[Exception]:
    for defect in defects:
        yield defect if isinstance(defect, Exception) else RuntimeError(repr(defect))
