"""Batches as stored chunks, and back: canonical rows v1, which name the chunk, and the compressed body.

Canonical rows v1 are MessagePack, every length in its shortest form::

    0x93                     array of 3
      0x01                   version
      <uint>                 rows
      <array of columns>     one per column, in declared order
        0x92                 array of 2
          <str>              the cells, UTF-8, joined by NUL
          | <array of str>   the cells one by one, only when a cell contains a NUL
          <bin>              one byte per row, 1 where the cell is null (its text is empty);
                             no bytes when no cell is null

Equal rows have equal canonical bytes, in every version of this program:
``tests/vectors/chunks-v1.json`` holds them still. Values are texts as the
sender wrote them, so ``1`` and ``1.0`` differ, and null differs from the
empty string. The body is raw deflate of the canonical bytes. Its own bytes
mean nothing: any deflate stream with the same content is the same chunk.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from isal import isal_zlib

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.manifest import Claim, short_sha
from sluice.tables.batch import SEPARATOR, Batch, Cells, is_text

_VERSION: Literal[1] = 1
_LEVEL = 1
_NUL = SEPARATOR.encode()
_RAW_DEFLATE = -15
"""No container: the digest in the claim checks more than a container's checksum would."""


class Chunk(msgspec.Struct, frozen=True):
    """A batch ready to be stored."""

    sha: str
    """``short_sha`` of the canonical bytes."""
    rows: int
    size: int
    """Canonical bytes, uncompressed."""
    body: bytes
    """What is stored."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[Literal[1], int, list[tuple[msgspec.Raw, bytes]]])
_LISTED = msgspec.msgpack.Decoder(list[str])
_FIXSTR, _FIXSTR_END = 0xA0, 0xC0
_STR_HEADERS = {0xD9: 2, 0xDA: 3, 0xDB: 5}
"""MessagePack's longer strings: the bytes before the text, by the first of them."""


def encode_batch(batch: Batch) -> Chunk:
    """Encode ``batch``; equal batches give equal ``sha`` and ``size``.

    Raises INVALID_TEXT with ``row`` and ``column_number`` (both from 1) for
    text with a lone surrogate, ValueError for columns of unequal length.
    """
    if not all(_holds(cells, batch.rows) for cells in batch.columns):
        raise ValueError("every column of a batch has one cell per row")
    try:
        columns = [(cells.text, cells.nulls) for cells in batch.columns]
        canonical = _ENCODER.encode((_VERSION, batch.rows, columns))
    except UnicodeEncodeError:
        raise _lone_surrogate(batch) from None
    body = isal_zlib.compress(canonical, _LEVEL, _RAW_DEFLATE)
    return Chunk(short_sha(canonical), batch.rows, len(canonical), body)


def decode_chunk(body: bytes, claim: Claim, *, size_max: int) -> Batch:
    """Give back the batch that ``claim`` acknowledged.

    Never inflates more than ``claim.size`` and one byte, nor anything for a
    claim over ``size_max``. Raises CHUNK_CORRUPT with ``sequence`` when the
    content is not exactly what was claimed. That texts are UTF-8 follows from
    the digest, since ``encode_batch`` writes no other, and is not checked again.
    """
    if not 0 < claim.size <= size_max:
        raise _corrupt(claim, "size")
    canonical = _inflate(body, claim)
    del body  # where the caller has it under no name either, it is gone now
    if len(canonical) != claim.size or short_sha(canonical) != claim.sha:
        raise _corrupt(claim, "content")
    try:
        _, rows, stored = _DECODER.decode(canonical)
        columns = tuple(_read_cells(raw, nulls) for raw, nulls in stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _corrupt(claim, "form") from None
    if rows != claim.rows or not all(_holds(cells, rows) for cells in columns):
        raise _corrupt(claim, "rows")
    return Batch(rows, columns)


def _inflate(body: bytes, claim: Claim) -> bytes:
    stream = isal_zlib.decompressobj(_RAW_DEFLATE)
    try:
        canonical = stream.decompress(body, claim.size + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # the stub takes the class for an instance
        raise _corrupt(claim, "compression") from None
    if not stream.eof or stream.unused_data:
        raise _corrupt(claim, "length")
    return bytes(canonical)


def _read_cells(raw: msgspec.Raw, nulls: bytes) -> Cells:
    value = memoryview(raw)
    first = value[0]
    header_bytes = 1 if _FIXSTR <= first < _FIXSTR_END else _STR_HEADERS.get(first)
    if header_bytes is None:
        return Cells(_LISTED.decode(raw), nulls)
    return Cells.stored(bytes(value[header_bytes:]), nulls)


def _holds(cells: Cells, rows: int) -> bool:
    """Whether a column has exactly ``rows`` cells."""
    if cells.nulls and len(cells.nulls) != rows:
        return False
    match cells.joined:
        case list() as texts:
            return len(texts) == rows
        case bytes() as data:
            return data.count(_NUL) == rows - 1 if rows else not data
        case text:
            return text.count(SEPARATOR) == rows - 1 if rows else not text


def _corrupt(claim: Claim, reason: str) -> SluiceError:
    return SluiceError(ErrorCode.CHUNK_CORRUPT, sequence=claim.sequence, reason=reason)


def _lone_surrogate(batch: Batch) -> SluiceError:
    """Find the first cell that is no Unicode text."""
    for column_number, cells in enumerate(batch.columns, 1):
        for row, text in enumerate(cells.texts(batch.rows), 1):
            if not is_text(text):
                return SluiceError(ErrorCode.INVALID_TEXT, row=row, column_number=column_number, reason="surrogate")
    raise AssertionError("a batch that cannot be encoded has a cell that cannot")
