"""Definitions as rows of SQLite have them: the columns of wide tables say much the same again and again.

A packed one is a byte that begins no text, eight digits that say how many bytes a listing needs of it, those as JSON,
and the whole JSON as a zlib stream. SQLite finds what a listing needs without unpacking.
"""

from __future__ import annotations

import zlib

from sluice.adapters.task_columns import encode_params
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.params import ExportParams

PACKED_FROM = 4096
"""Bytes of JSON: a page of the file. Below that packing gives no room back."""
UNPACKED_MAX = 8 << 20
"""Bytes that are unpacked at most; ``limits.params_bytes_max`` is a quarter of it."""
_PACKED = b"\x01"
_HEAD = 9
LISTED = "CAST(substr(params, 10, CAST(CAST(substr(params, 2, 8) AS TEXT) AS INTEGER)) AS TEXT)"
"""What a listing needs of a packed one, as SQL; no JSON of bytes that were damaged."""

Stored = str | bytes
"""A text that was written plainly; bytes where it was packed, or lost bits."""


def pack(text: str, params: ExportParams | None) -> Stored:
    """``text``, the JSON of ``params``, packed where that is at most half as long."""
    plain = text.encode()
    if params is None or len(plain) < PACKED_FROM:
        return text
    listed = encode_params(params.without_columns()).encode()
    packed = b"".join((_PACKED, b"%08d" % len(listed), listed, zlib.compress(plain)))
    return packed if len(packed) <= len(plain) // 2 else text


def unpack(stored: Stored) -> Stored:
    """What was packed; anything else stays as it is. Raises TASK_DAMAGED for what was packed and lost bits."""
    if not isinstance(stored, bytes) or not stored.startswith(_PACKED):
        return stored
    unpacking = zlib.decompressobj()
    try:
        begin = _HEAD + int(stored[1:_HEAD])
        plain = unpacking.decompress(memoryview(stored)[begin:], UNPACKED_MAX)
        text = plain.decode()
    except (zlib.error, ValueError) as error:
        raise SluiceError(ErrorCode.TASK_DAMAGED, column="params") from error
    if not unpacking.eof:
        raise SluiceError(ErrorCode.TASK_DAMAGED, column="params")
    return text
