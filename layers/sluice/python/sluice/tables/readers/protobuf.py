"""Reads rows from a message of the wire contract: one that gRPC has parsed, or a body that is one."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from google.protobuf.message import DecodeError

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.proto import export_pb2 as pb
from sluice.tables.batch import Batch
from sluice.tables.readers.records import RowShape, batch_of_cells, uneven

_LENGTH_BYTES = 4


def read_protobuf(body: bytes, shape: RowShape, *, sequence: int) -> Batch:
    """Read a ``DataBatch``. Its own sequence is 0, or that of the call; its sheet is empty, or that of ``shape``.

    Raises INVALID_REQUEST, and what ``read_message`` raises.
    """
    try:
        message = pb.DataBatch.FromString(body)
    except DecodeError:
        raise SluiceError(
            ErrorCode.INVALID_REQUEST, "The body is no DataBatch, or has text that is not UTF-8."
        ) from None
    if message.batch_sequence not in {0, sequence}:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The message's batch_sequence is not that of the path.")
    if message.sheet not in {"", shape.sheet_name}:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The message's sheet is not that of the query.", field="sheet")
    return read_message(message, shape)


def read_message(message: pb.DataBatch, shape: RowShape) -> Batch:
    """Take the rows as columns.

    Raises BATCH_TOO_LARGE, and ROW_WIDTH_MISMATCH with ``row``, from 1 within
    the batch, before a row is read; then CHECKSUM_MISMATCH.
    """
    if len(message.records) > shape.rows_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, batch_rows_max=shape.rows_max)
    widths = [len(record.values) for record in message.records]
    for row, width in enumerate(widths, 1):
        if width != shape.width:
            raise uneven(row=row, cells=width, columns=shape.width)
    shape.check_cells(sum(widths))
    cells: list[str] = []
    for record in message.records:
        cells += record.values[:]  # one list for all, cut into columns later: faster than a list for each row
    if message.sha256 and message.sha256.lower() != values_sha256(cells):
        raise SluiceError(ErrorCode.CHECKSUM_MISMATCH)
    return batch_of_cells(cells, len(widths), shape)


def values_sha256(cells: Iterable[str]) -> str:
    """The checksum a sender may give: over all values in order, each as its length in bytes and its UTF-8."""
    digest = sha256()
    for value in map(str.encode, cells):
        digest.update(len(value).to_bytes(_LENGTH_BYTES, "big") + value)
    return digest.hexdigest()
