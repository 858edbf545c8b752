"""Cuts a stream of blocks into parts of given sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO


def slice_parts(blocks: Iterable[bytes], sizes: Iterable[int]) -> Iterator[bytes]:
    """Yield ``blocks`` again as parts of exactly these ``sizes``, in bytes; the last one may be smaller, not empty.

    An empty stream has no part. A part is yielded as soon as its last byte has
    arrived. Memory is one part and one block, whatever the size of the blocks;
    a byte is copied once. Raises ValueError for a size below 1, and for blocks
    that go on when there is no other size.
    """
    waiting = iter(sizes)
    part, room_bytes = BytesIO(), 0  # its getvalue() hands the buffer over without a copy
    for block in blocks:
        rest = memoryview(block)
        while rest:
            room_bytes = room_bytes or _next_size(waiting)
            written = part.write(rest[:room_bytes])
            rest, room_bytes = rest[written:], room_bytes - written
            if not room_bytes:
                yield part.getvalue()
                part = BytesIO()
    if part.tell():
        yield part.getvalue()


def _next_size(sizes: Iterator[int]) -> int:
    size = next(sizes, 0)
    if size < 1:
        raise ValueError("a part holds at least one byte, and all parts together hold the blocks")
    return size
