"""Reading objects of OSS, with what the SDK leaves out: lengths, ranges and checksums are verified."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sluice.adapters.aliyun.oss.errors import oss_errors
from sluice.adapters.crc64 import crc64_of
from sluice.ports.store_errors import OutcomeUnknown, StoreError

BLOCK_BYTES = 1 << 20
RANGE_AS_USUAL = {"x-oss-range-behavior": "standard"}
"""Without it OSS answers a range that ends behind the object with the whole of it."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_OPERATION = "GetObject"


def read_whole(answer: Any) -> bytes:
    """Read an object that fits in memory. Raises ``OutcomeUnknown`` unless every byte is what OSS stores."""
    size = answer.content_length
    with oss_errors(_OPERATION):
        # One read of the whole: in blocks the object would be in memory twice while they are joined.
        data = b"".join(iter(lambda: answer.read(max(1, size or BLOCK_BYTES)), b""))
    if size is not None and len(data) != size:
        raise OutcomeUnknown(f"{_OPERATION}: {len(data)} of {size} bytes came")
    if crc64_of(data) != answer.server_crc:
        raise _damaged(answer, is_handed_out=False)
    return data


def read_span(answer: Any, start: int, end: int) -> Iterator[bytes]:
    """Yield the blocks of an answer. One block is kept back, so that an object of one block is verified before.

    Raises ``OutcomeUnknown`` when another range than ``start`` to ``end`` was
    answered, and when it breaks off; what was yielded until then is right as
    far as can be known. The checksum is the whole object's:
    damage found when other blocks are out already is a ``StoreError``, since
    nothing is gained by reading on from there.
    """
    answered, is_whole = _check_range(answer, start, end)
    kept, crc64, size = b"", 0, 0
    while True:
        with oss_errors(_OPERATION):
            block: bytes = answer.read(BLOCK_BYTES)
        if not block:
            break
        if kept:
            yield kept
        kept, crc64, size = block, crc64_of(block, crc64), size + len(block)
    if size != answered:
        raise OutcomeUnknown(f"{_OPERATION}: {size} of {answered} bytes came")
    if is_whole and crc64 != answer.server_crc:
        raise _damaged(answer, is_handed_out=size > len(kept))
    if kept:
        yield kept


def _check_range(answer: Any, start: int, end: int) -> tuple[int, bool]:
    """How many bytes were answered, and whether they are the whole object. Raises for another range."""
    match = _CONTENT_RANGE.fullmatch(answer.content_range or "")
    if match is None:
        first, size = 0, answer.content_length
        total = size
    else:
        first, last, total = map(int, match.groups())
        size = last + 1 - first
    if size is None or first != start or first + size != min(end, total):
        raise OutcomeUnknown(f"{_OPERATION}: another range came (request {answer.request_id})")
    return size, size == total


def _damaged(answer: Any, *, is_handed_out: bool) -> StoreError:
    kind = StoreError if is_handed_out else OutcomeUnknown
    return kind(f"{_OPERATION}: the bytes that came are not those OSS stores (request {answer.request_id})")
