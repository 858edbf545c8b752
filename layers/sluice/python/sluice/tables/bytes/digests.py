"""Checksums of a file, taken while its blocks pass by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from fastcrc import crc64


class Digest:
    """The running SHA-256, CRC-64/XZ and byte count of a stream."""

    __slots__ = ("_crc64", "_sha256", "_size")

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc64 = 0
        self._size = 0

    def update(self, block: bytes) -> None:
        self._sha256.update(block)
        self._crc64 = crc64.xz(block, self._crc64)
        self._size += len(block)

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def crc64(self) -> str:
        """Decimal, as OSS writes it."""
        return str(self._crc64)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size


def digested(blocks: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    """Pass ``blocks`` through unchanged; ``digest`` covers exactly the blocks that were taken."""
    for block in blocks:
        digest.update(block)
        yield block
