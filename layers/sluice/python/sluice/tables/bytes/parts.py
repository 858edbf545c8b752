"""Cuts a stream of blocks into the parts of an upload, and says how large those must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from io import BytesIO

from sluice.domain.limits import KIB, Limits

_DOUBLINGS = 9
"""How often the size may double in the second half of the parts."""


def part_sizes(file_bytes_max: int, limits: Limits) -> Iterator[int]:
    """The size of each part for a file of at most ``file_bytes_max`` bytes: ``limits.parts_max`` sizes that hold it.

    No size is below ``limits.part_bytes_min`` or above the one after it. A
    bound that is known beforehand is many times the size of most files, so
    the first half of the parts has the least size whatever the bound, if the
    other half can hold the rest. There a size doubles now and then, but is
    never larger than what all parts that are left would have to be.
    """
    if file_bytes_max < 0:
        raise ValueError("a file has no negative size")
    grown, together = _grown(limits.parts_max)
    least = _at_least(limits.part_bytes_min, file_bytes_max, together)
    size, left_bytes = least, file_bytes_max
    for index, doublings in enumerate(grown):
        size = max(size, min(least * 2**doublings, _at_least(least, left_bytes, limits.parts_max - index)))
        yield size
        left_bytes = max(0, left_bytes - size)


@lru_cache(maxsize=8)
def _grown(parts_max: int) -> tuple[bytes, int]:
    """How often the size of each part has doubled at most, and how many of the least size all are together."""
    half = parts_max // 2
    step = max(1, half // _DOUBLINGS)
    grown = bytes(max(0, index - half + step) // step for index in range(parts_max))
    return grown, sum(2**doublings for doublings in grown)


def largest_part(file_bytes_max: int, limits: Limits) -> int:
    """The largest of the parts that a file of ``file_bytes_max`` bytes fills, in bytes."""
    left_bytes = file_bytes_max
    size = limits.part_bytes_min
    for size in part_sizes(file_bytes_max, limits):
        left_bytes -= size
        if left_bytes <= 0:
            break
    return size


def _at_least(least_bytes: int, total_bytes: int, parts: int) -> int:
    """What each of ``parts`` must hold for ``total_bytes``: ``least_bytes``, or more in whole KiB."""
    needed = -(-total_bytes // parts)
    return least_bytes if needed <= least_bytes else -(-needed // KIB) * KIB


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
            room_bytes = room_bytes or next(waiting, 0)
            if room_bytes < 1:
                raise ValueError("a part holds at least one byte, and all parts together hold the blocks")
            written = part.write(rest[:room_bytes])
            rest, room_bytes = rest[written:], room_bytes - written
            if not room_bytes:
                yield part.getvalue()
                part = BytesIO()
    if part.tell():
        yield part.getvalue()
