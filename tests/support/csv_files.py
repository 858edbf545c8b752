"""Makes CSV files from rows, and reads them with Python's csv module."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.csv.format import CSV

Row = Sequence[str | None]


class Written(NamedTuple):
    """A file and what its writer counted."""

    data: bytes
    tally: Tally

    @property
    def text(self) -> str:
        """The file as UTF-8, without a byte order mark."""
        return self.data.decode("utf-8-sig")


def strings(*names: str) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(name) for name in names)


FORMULA_SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
USUAL_DELIMITERS = ",;\t|"


def guarded_text(text: str, delimiter: str = ",") -> str:
    """A text cell as the guard leaves it, found character by character."""
    splits = {*USUAL_DELIMITERS, "\r", "\n", delimiter}
    guarded, begins = "", True
    for index, character in enumerate(text):
        is_start = index == 0 and character in "\t\r\n"
        if is_start or (begins and character in FORMULA_SIGNS and (index == 0 or not _is_signed(text[index:], splits))):
            guarded += "'"
        guarded += character
        begins = character in splits or (begins and index > 0 and character == '"')
    return guarded


def _is_signed(rest: str, splits: set[str]) -> bool:
    """Whether a number with a sign stands there, up to where a field may end."""
    number = re.match(r"[+-][0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", rest)
    return number is not None and rest[number.end() : number.end() + 1] in {"", '"', *splits}


def fields_split_at(data: bytes, delimiter: str) -> list[str]:
    """The fields of readers that split at ``delimiter``: one that knows quotes, and one that does not."""
    text = data.decode("utf-8-sig")
    known = [field for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for field in row]
    ignored = [field for line in re.split(r"[\r\n]+", text) for field in line.split(delimiter)]
    return known + ignored


def one(kind: ColumnType, column_format: str = "") -> tuple[ColumnSpec, ...]:
    """A column of that type between two of strings, so that no row is a single field."""
    return (ColumnSpec("a"), ColumnSpec("value", kind, format=column_format), ColumnSpec("z"))


def batches_of(rows: Sequence[Row], width: int, batch_rows: int | None = None) -> list[Batch]:
    step = batch_rows or max(len(rows), 1)
    return [Batch.of_rows(rows[first : first + step], width) for first in range(0, len(rows), step)]


def table_of(rows: Sequence[Row], columns: Sequence[ColumnSpec], **options: Any) -> FilePlan:
    size = sum(len(cell.encode()) + 1 for row in rows for cell in row if cell is not None)
    return FilePlan(
        columns=tuple(columns),
        options=ExportOptions(**options),
        rows=len(rows),
        size=size,
    )


def write_csv(
    rows: Sequence[Row], columns: Sequence[ColumnSpec], *, batch_rows: int | None = None, **options: Any
) -> Written:
    """Write ``rows`` in batches of ``batch_rows``."""
    tally = Tally()
    blocks = CSV.write(batches_of(rows, len(columns), batch_rows), table_of(rows, columns, **options), tally)
    return Written(b"".join(blocks), tally)


def write_values(kind: ColumnType, *values: str | None, column_format: str = "", **options: Any) -> list[str]:
    """How ``values`` read in a column of that type, without a header."""
    rows = [("a", value, "z") for value in values]
    written = write_csv(rows, one(kind, column_format), header=False, **options)
    return [row[1] for row in read_csv(written.data)]


def read_csv(data: bytes, *, encoding: str = "utf-8-sig", delimiter: str = ",") -> list[list[str]]:
    """Read a file as a program would that knows its encoding and delimiter."""
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return list(csv.reader(io.StringIO(plain.decode(encoding), newline=""), delimiter=delimiter, strict=True))


def params_of(columns: Sequence[ColumnSpec], **options: Any) -> ExportParams:
    return ExportParams(
        format=ExportFormat.CSV, filename="orders.csv", columns=tuple(columns), options=ExportOptions(**options)
    )


def check_rows_of(rows: Sequence[Row], columns: Sequence[ColumnSpec], **options: Any) -> None:
    """Check ``rows`` as one batch, as the relay does before it stores them."""
    columns = tuple(columns)
    CSV.check_batch(Batch.of_rows(rows, len(columns)), columns, ExportOptions(**options), Limits())
