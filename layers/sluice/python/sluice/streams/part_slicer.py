"""Cuts a stream of blocks into parts of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO


def slice_parts(blocks: Iterable[bytes], part_bytes: int) -> Iterator[bytes]:
    """Yield ``blocks`` again as parts of exactly ``part_bytes``, the last one of 1 to ``part_bytes``.

    An empty stream has no part. A part is yielded as soon as its last byte has
    arrived. Memory is one part and one block, whatever the size of the blocks;
    a byte is copied once.
    """
    if part_bytes < 1:
        raise ValueError("a part holds at least one byte")
    part = BytesIO()  # its getvalue() hands the buffer over without a copy
    room_bytes = part_bytes
    for block in blocks:
        rest = memoryview(block)
        while len(rest) >= room_bytes:
            part.write(rest[:room_bytes])
            rest = rest[room_bytes:]
            yield part.getvalue()
            part, room_bytes = BytesIO(), part_bytes
        part.write(rest)
        room_bytes -= len(rest)
    if room_bytes < part_bytes:
        yield part.getvalue()
