"""Tables around the number of rows that a worksheet holds have every row, on the right sheet."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from python_calamine import CalamineWorkbook

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS

SHEET_ROWS = 1_048_576
BATCH_ROWS = 10_007
"""No divisor of anything, so that sheets end within a batch."""
ONE_COLUMN = (ColumnSpec("n", ColumnType.NUMBER),)


def numbered(rows: int) -> Iterator[Batch]:
    for first in range(0, rows, BATCH_ROWS):
        end = min(first + BATCH_ROWS, rows)
        yield Batch.of_columns([list(map(str, range(first, end)))], end - first)


def write(rows: int, *, header: bool) -> tuple[bytes, Tally]:
    tally = Tally()
    options = ExportOptions(compact=True, header=header)
    table = FilePlan(columns=ONE_COLUMN, options=options, rows=rows, size=rows * 8)
    return b"".join(FORMATS[ExportFormat.XLSX].write(numbered(rows), table, tally)), tally


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "header", "sizes"),
    [
        (SHEET_ROWS - 1, True, [SHEET_ROWS - 1]),
        (SHEET_ROWS, True, [SHEET_ROWS - 1, 1]),
        (SHEET_ROWS + 1, True, [SHEET_ROWS - 1, 2]),
        (SHEET_ROWS, False, [SHEET_ROWS]),
        (SHEET_ROWS + 1, False, [SHEET_ROWS, 1]),
        (2_500_000, True, [SHEET_ROWS - 1, SHEET_ROWS - 1, 2_500_000 - 2 * (SHEET_ROWS - 1)]),
    ],
)
def test_a_table_around_the_limit_of_a_sheet_has_every_row(rows: int, header: bool, sizes: list[int]) -> None:  # noqa: FBT001 -- a parameter of the test
    data, tally = write(rows, header=header)
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    assert book.sheet_names[len(sizes) :] == (["Index"] if len(sizes) > 1 else [])
    assert (tally.rows, tally.warnings["sheet_split"]) == (rows, len(sizes) - 1)
    first = 0
    for index, size in enumerate(sizes):
        found = [row[0] for row in book.get_sheet_by_index(index).iter_rows()]
        if header:
            assert found.pop(0) == "n"
        assert found == list(map(float, range(first, first + size)))
        first += size
