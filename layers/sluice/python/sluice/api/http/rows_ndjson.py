"""Reads rows from NDJSON: one JSON array or object on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from sluice.api.http.rows_json import exact_json, is_exact
from sluice.api.rows import RowShape, batch_of_records
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.tables.batch import Batch

_fast = msgspec.json.Decoder(float_hook=str)


def read_ndjson(body: bytes, shape: RowShape) -> Batch:
    """Read one row from each line that is not blank. Raises what ``read_json`` raises."""
    lines = [line for line in _bounded_lines(body, shape) if not line.isspace()]
    return batch_of_records(decode_lines(lines), shape)


def decode_lines(lines: list[bytes], *, first_row: int = 1) -> list[Any]:
    """Decode each line by itself: a line that holds two values, or half a value, is refused."""
    try:
        records: list[Any] = [_fast.decode(line) for line in lines]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return list(_decode_exactly(lines, first_row))
    return records if is_exact(records, b"\n".join(lines)) else list(_decode_exactly(lines, first_row))


def _decode_exactly(lines: Iterable[bytes], first_row: int) -> Iterator[Any]:
    for row, line in enumerate(lines, first_row):
        try:
            yield exact_json(line, numbers=str)
        except SluiceError as error:
            raise SluiceError(error.code, error.detail, **error.facts, row=row) from None


def _bounded_lines(body: bytes, shape: RowShape) -> list[bytes]:
    """The lines, unless there are so many that even blank ones are too many."""
    if body.count(b"\n") > 2 * shape.rows_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, batch_rows_max=shape.rows_max)
    return [line for line in body.split(b"\n") if line]
