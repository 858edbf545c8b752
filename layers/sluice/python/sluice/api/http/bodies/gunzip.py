"""Unpacks gzip piece by piece, so that a small body cannot become a large memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB

PIECE_BYTES = 64 * KIB
MEMBERS_MAX = 10_000
"""Empty members cost work and give nothing."""

GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31


class Gunzip:
    """One gzip stream of one or more members."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._head = b""
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` unpacks to, in pieces of at most ``PIECE_BYTES``; stop taking them to stop unpacking.

        Raises UNSUPPORTED_ENCODING when this is no gzip, INVALID_REQUEST when it is damaged.
        """
        self._check_head(data)
        while data:
            if self._stream.eof:
                self._begin_member()
            piece = self._inflate(data)
            while piece:
                yield piece
                piece = self._inflate(self._stream.unconsumed_tail)
            data = self._stream.unused_data

    def finish(self) -> None:
        """Raise INVALID_REQUEST unless the stream ended with its data."""
        if not self._stream.eof:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The gzip data is cut short.")

    def _check_head(self, data: bytes) -> None:
        self._head += data[: len(GZIP_MAGIC) - len(self._head)]
        if not GZIP_MAGIC.startswith(self._head):
            raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, "The body is not gzip, as Content-Encoding says.")

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > MEMBERS_MAX:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The gzip data has too many members.")
        self._stream = zlib.decompressobj(_GZIP)

    def _inflate(self, data: bytes) -> bytes:
        try:
            return self._stream.decompress(data, PIECE_BYTES)
        except zlib.error:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The gzip data is damaged.") from None
