"""Compresses a stream of blocks into one gzip member."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import repeat

from isal import isal_zlib

from sluice.domain.limits import KIB
from sluice.tables.bytes.parts import slice_parts

BLOCK_BYTES = 128 * KIB
"""The compressor is always fed blocks of this size: its output depends on how its input is cut."""
_LEVEL = 1
_RAW_DEFLATE = -15
_UINT32 = 2**32


def gzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a gzip file of ``blocks``; the same content gives the same bytes, however it is cut.

    The header's time is 0, which means that none is known. Memory is two blocks.
    """
    yield struct.pack("<4sLBB", b"\x1f\x8b\x08\x00", 0, 0, 255)
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_RAW_DEFLATE)
    crc32 = 0
    size = 0
    for block in slice_parts(blocks, repeat(BLOCK_BYTES)):
        crc32 = isal_zlib.crc32(block, crc32)
        size += len(block)
        compressed = compressor.compress(block)
        if compressed:
            yield compressed
    yield compressor.flush() + struct.pack("<LL", crc32, size % _UINT32)


def gzip_bound(size: int) -> int:
    """No gzip file of ``size`` bytes has more bytes than this."""
    return size + size // 16 + KIB
