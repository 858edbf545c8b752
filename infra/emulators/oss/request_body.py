"""The body of one request, read once, in blocks, however it was framed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 18


class ConnectionLost(Exception):
    """The caller went away, or is to be left without an answer."""


class RequestBody:
    """Bytes of a body by Content-Length or in chunks. ``on_first_read`` asks a caller that waits to go on."""

    def __init__(
        self, stream: BinaryIO, headers: Mapping[str, str], *, on_first_read: Callable[[], None] | None = None
    ) -> None:
        self._stream = stream
        self._on_first_read = on_first_read
        self._source = self._framed(headers)
        self._flip_at = -1
        self._kept: BinaryIO | None = None

    def corrupt(self, at_byte: int) -> None:
        """Flip a bit of this byte when it passes."""
        self._flip_at = at_byte

    def blocks(self) -> Iterator[bytes]:
        """Yield what is left of the body."""
        position = 0
        for block in self._source:
            yield flipped(block, self._flip_at - position)
            position += len(block)

    def read_all(self) -> bytes:
        return b"".join(self.blocks())

    def drain(self) -> None:
        """Read what is left and forget it, so that the connection can carry the next request."""
        for _ in self._source:
            pass

    def take_in(self, folder: Path) -> None:
        """Read the whole body into a nameless file, from which it is read later."""
        self._kept = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `close` closes it
        for block in self._source:
            self._kept.write(block)
        self._kept.seek(0)
        self._source = iter(partial(self._kept.read, BLOCK_BYTES), b"")

    def close(self) -> None:
        if self._kept:
            self._kept.close()

    def read_until(self, size: int) -> None:
        """Read at least this many bytes, or all there are, and forget them."""
        while size > 0 and (block := next(self._source, b"")):
            size -= len(block)

    def _framed(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._begin()
            yield from self._chunks()
        elif left := int(headers.get("content-length") or 0):
            self._begin()
            yield from self._counted(left)

    def _begin(self) -> None:
        if self._on_first_read:
            self._on_first_read()

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            block = self._stream.read(min(left, BLOCK_BYTES))
            if not block:
                raise ConnectionLost
            left -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = int(self._stream.readline(64).split(b";")[0] or b"0", 16)
            if not size:
                self._stream.readline(64)
                return
            yield from self._counted(size)
            self._stream.readline(64)


def flipped(block: bytes, at_byte: int) -> bytes:
    """The block with a bit of one byte flipped, if the byte is in it."""
    if not 0 <= at_byte < len(block):
        return block
    return block[:at_byte] + bytes([block[at_byte] ^ 1]) + block[at_byte + 1 :]
