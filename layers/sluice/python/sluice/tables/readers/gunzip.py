"""Unpacks gzip piece by piece, so that small data cannot become a large memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB

PIECE_BYTES = 64 * KIB
SMALL_BYTES = 1 * KIB
SMALL_MEMBERS_MAX = 10_000
"""Members of less than ``SMALL_BYTES`` cost more work than they give. Of larger ones there may be any number."""

GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31


class Gunzip:
    """One gzip stream of one or more members."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._head = b""
        self._given = 0
        """Bytes, of the member that is unpacked now."""
        self._small_members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` unpacks to, in pieces of at most ``PIECE_BYTES``; stop taking them to stop unpacking.

        Raises UNSUPPORTED_ENCODING when this is no gzip, INVALID_REQUEST when it is damaged.
        """
        self._head += data[: len(GZIP_MAGIC) - len(self._head)]
        if not GZIP_MAGIC.startswith(self._head):
            raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, "The data is not gzip, as it is said to be.")
        while data:
            if self._stream.eof:
                self._small_members += self._given < SMALL_BYTES
                if self._small_members > SMALL_MEMBERS_MAX:
                    raise SluiceError(ErrorCode.INVALID_REQUEST, "The gzip data has too many small members.")
                self._given = 0
                self._stream = zlib.decompressobj(_GZIP)
            piece = self._inflate(data)
            while piece:
                self._given += len(piece)
                yield piece
                piece = self._inflate(self._stream.unconsumed_tail)
            data = self._stream.unused_data

    def finish(self) -> None:
        """Raise INVALID_REQUEST unless the stream ended with its data."""
        if not self._stream.eof:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The gzip data is cut short.")

    def _inflate(self, data: bytes) -> bytes:
        try:
            return self._stream.decompress(data, PIECE_BYTES)
        except zlib.error:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The gzip data is damaged.") from None
