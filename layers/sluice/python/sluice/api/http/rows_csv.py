"""Reads rows from CSV (RFC 4180), from a whole body or from one that is still arriving."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from sluice.api.rows import RowShape, batch_of_texts
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.tables.batch import Batch

csv.field_size_limit(sys.maxsize)
# The module's limit is one for the process and too low for a long text. Ours is on the whole record.


def read_csv(body: bytes, shape: RowShape, *, header: bool) -> Batch:
    """Read a CSV body; with ``header`` its first record must be the names of the columns, in order.

    Raises INVALID_TEXT, INVALID_REQUEST, ROW_WIDTH_MISMATCH and BATCH_TOO_LARGE.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise not_utf8() from None
    records = csv_records(io.StringIO(text, newline="\n"))
    if header:
        check_header(next(records, None), shape)
    rows = list(islice(without_blanks(records, shape.width), shape.rows_max + 1))
    if len(rows) > shape.rows_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, batch_rows_max=shape.rows_max)
    return batch_of_texts(rows, shape)


def csv_records(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the records of lines that keep their ends; of a blank line, an empty record. Raises INVALID_REQUEST."""
    reader = csv.reader(lines, strict=True)
    try:
        yield from reader
    except csv.Error:
        raise SluiceError(
            ErrorCode.INVALID_REQUEST,
            "The body is not CSV: a quote or a line end is where none may be.",
            line=reader.line_num,
        ) from None


def without_blanks(records: Iterable[list[str]], width: int) -> Iterator[list[str]]:
    """Leave out blank lines, which are rows only of a table of one column."""
    if width == 1:
        return (record or [""] for record in records)
    return filter(None, records)


def check_header(names: list[str] | None, shape: RowShape) -> None:
    """Raise INVALID_REQUEST unless ``names`` are the columns' names, in order."""
    if names is None or tuple(names) != shape.names:
        raise SluiceError(
            ErrorCode.INVALID_REQUEST,
            "The first line is not the names of the columns, in order; "
            "without such a line, send Content-Type: text/csv; header=absent",
            field="header",
        )


def not_utf8() -> SluiceError:
    return SluiceError(ErrorCode.INVALID_TEXT, "The body is not UTF-8.")
