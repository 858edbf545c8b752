"""The archive around the parts of a workbook, streamed and the same for the same parts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isal import isal_zlib
from stream_zip import ZIP_32, ZIP_64, stream_zip

_DEFLATE_BLOCK_BYTES = 128 * 1024
"""ISA-L's output depends on how its input is cut, so the input is always cut alike."""
_OUTPUT_BLOCK_BYTES = 64 * 1024
_FAST_LEVEL = 1
_SMALL_LEVEL = 6
_RAW_DEFLATE = -15
_FILE_MODE = 0o100644
ZIP_32_BYTES_MAX = 0xFFFFFFFF
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST = datetime(2107, 12, 31, tzinfo=UTC)
"""An archive's times lie between these."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive."""

    name: str
    blocks: Iterable[bytes]
    size_bound: int
    """It has at most this many bytes, before and after compression."""


def archive(members: Iterable[Member], *, created_at: float, small: bool) -> Iterator[bytes]:
    """Yield a ZIP archive, reading each member's blocks only as they are needed.

    ``small`` deflates about a seventh smaller and several times slower. ZIP64
    is used from the first member whose end may lie beyond 4 GiB.
    """
    moment = min(max(datetime.fromtimestamp(int(created_at), UTC), _EARLIEST), _LATEST)
    blocks: Iterable[bytes] = stream_zip(
        _entries(members, moment),
        chunk_size=_OUTPUT_BLOCK_BYTES,
        get_compressobj=_small_deflate if small else _fast_deflate,
        extended_timestamps=False,  # they would add nothing, and be wrong for times before 1970
    )
    yield from blocks


def _entries(members: Iterable[Member], moment: datetime) -> Iterator[tuple[Any, ...]]:
    end_bound = 0
    for member in members:
        end_bound += member.size_bound
        method = ZIP_64 if end_bound > ZIP_32_BYTES_MAX else ZIP_32
        yield member.name, moment, _FILE_MODE, method, even_blocks(member.blocks, _DEFLATE_BLOCK_BYTES)


def _fast_deflate() -> Any:
    return isal_zlib.compressobj(_FAST_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)


def _small_deflate() -> Any:
    return zlib.compressobj(_SMALL_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)


def even_blocks(blocks: Iterable[bytes], block_bytes: int) -> Iterator[bytes]:
    """The same bytes in blocks of exactly ``block_bytes``, the last one shorter."""
    held: list[bytes] = []
    held_bytes = 0
    for block in blocks:
        held.append(block)
        held_bytes += len(block)
        if held_bytes >= block_bytes:
            data = b"".join(held)
            whole = held_bytes - held_bytes % block_bytes
            for start in range(0, whole, block_bytes):
                yield data[start : start + block_bytes]
            held, held_bytes = [data[whole:]], held_bytes - whole
    if held_bytes:
        yield b"".join(held)
