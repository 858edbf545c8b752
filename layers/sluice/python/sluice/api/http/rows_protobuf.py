"""Reads a batch that is a message of the wire contract."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from sluice.api.grpc.requests import read_batch
from sluice.api.rows import RowShape
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.proto import export_pb2 as pb
from sluice.tables.batch import Batch


def read_protobuf(body: bytes, shape: RowShape, *, sequence: int) -> Batch:
    """Read a ``DataBatch``. Its own sequence is 0, or that of the path; its sheet is empty, or that of the query.

    Raises INVALID_REQUEST, and what ``wire.read_batch`` raises.
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
    return read_batch(message, shape)
