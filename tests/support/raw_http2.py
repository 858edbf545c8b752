"""HTTP/2 frames by hand, for what no well-behaved client would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
ACK = 1
MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE = 3, 6
ENHANCE_YOUR_CALM = 0xB
CANCEL = 8
FRAME_BYTES_MAX = 16_384


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


class RawConnection:
    """A TCP connection that sends exactly the frames it is told to, and answers nothing by itself."""

    def __init__(self, target: str, *, timeout_s: float = 20) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout_s)

    def greet(self) -> None:
        """The client's side of the beginning: preface and settings."""
        self.send(PREFACE)
        self.frame(SETTINGS)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def frame(self, kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> None:
        self.send(struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload)

    def call(self, stream: int, path: str, headers: Mapping[str, str] | None = None) -> None:
        """The headers of a gRPC call, in as many frames as they need."""
        block = b"".join(_literal(name, value) for name, value in {**_pseudo(path), **(headers or {})}.items())
        pieces = [block[at : at + FRAME_BYTES_MAX] for at in range(0, len(block), FRAME_BYTES_MAX)]
        for index, piece in enumerate(pieces):
            last = END_HEADERS if index == len(pieces) - 1 else 0
            self.frame(CONTINUATION if index else HEADERS, piece, flags=last, stream=stream)

    def frames(self) -> Iterator[Frame]:
        """What the server sends, until it closes the connection."""
        while head := self._exactly(9):
            size = int.from_bytes(head[:3], "big")
            yield Frame(head[3], head[4], int.from_bytes(head[5:], "big"), self._exactly(size))

    def next(self, kind: int) -> Frame | None:
        """The next frame of a kind; None when the connection is closed before."""
        return next((frame for frame in self.frames() if frame.kind == kind), None)

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                block = self._socket.recv(size - len(data))
            except ConnectionResetError:
                return b""
            if not block:
                return b""
            data += block
        return data


@contextmanager
def raw_connection(target: str) -> Iterator[RawConnection]:
    connection = RawConnection(target)
    try:
        yield connection
    finally:
        connection.close()


def settings_of(frame: Frame) -> dict[int, int]:
    return dict(struct.iter_unpack(">HI", frame.payload))


def goaway_code(frame: Frame) -> int:
    return int.from_bytes(frame.payload[4:8], "big")


def _pseudo(path: str) -> dict[str, str]:
    return {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }


def _literal(name: str, value: str) -> bytes:
    """A header without compression or indexing (RFC 7541, 6.2.2)."""
    return b"\0" + _string(name.encode()) + _string(value.encode())


def _string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    length.append(rest)
    return bytes(length) + text
