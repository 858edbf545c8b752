"""The same rows give the same workbook, however they were cut into batches."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.demo.order_table import COLUMNS, order_batches
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS
from tests.support.xlsx_tables import batches_of, columns_of, table_of, write_xlsx

XLSX = FORMATS[ExportFormat.XLSX]

ODD_TEXTS = [
    "",
    " a",
    "a ",
    "=1",
    "'x",
    "\n",
    "a\nb",
    "\r",
    "\x07",
    "_x0041_",
    "\ufffe",
    "&<>",
    "a\0b",
    "中文",
    "😀",
    "x" * 40,
]
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(max_size=5)
NUMBERS = st.sampled_from(["", "007", "+1", "1e5", "-0.0", "12345678901234567890", "0.1", "bad"]) | st.integers().map(
    str
)
DATES = st.sampled_from(
    ["", "2025-03-14", "2025-03-14 00:00:00", "2025-03-14T23:59:59", "1900-01-01", "1899-12-31", "2025-03-14T09:26:53Z"]
) | st.datetimes().map(str)
WORDS = st.sampled_from(["", "true", "FALSE", "1", "0", "maybe"])
MIXED = columns_of(ColumnType.STRING, ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME, ColumnType.BOOLEAN)
ROW = st.tuples(*[st.none() | values for values in (TEXTS, NUMBERS, DATES, DATES, WORDS)])


@pytest.mark.slow
@settings(max_examples=60)
@example([(None,) * 5, (None, "1" + 30 * "0", None, None, None)], [1], False, 2)
@given(
    st.lists(ROW, max_size=25), st.lists(st.integers(1, 9), min_size=1, max_size=9), st.booleans(), st.integers(2, 12)
)
def test_any_cutting_of_the_same_rows_gives_the_same_bytes(
    rows: list[tuple[str | None, ...]],
    cuts: list[int],
    compact: bool,  # noqa: FBT001 -- a property's parameter
    sheet_rows_max: int,
) -> None:
    options = ExportOptions(compact=compact, on_invalid="text", on_too_long="cut")
    limits = Limits(sheet_rows_max=sheet_rows_max, cell_units_max=30)
    whole = write_xlsx(MIXED, rows, options=options, limits=limits)
    batches: list[Batch] = []
    first = 0
    while first < len(rows):
        end = first + cuts[len(batches) % len(cuts)]
        batches.append(Batch.of_rows(rows[first:end], len(MIXED)))
        first = end
    tally = Tally()
    blocks = XLSX.write(batches, table_of(MIXED, rows, options=options, limits=limits), tally)
    assert b"".join(blocks) == whole.data
    assert tally == whole.tally


@pytest.mark.slow
@pytest.mark.parametrize("compact", [False, True])
def test_the_cutting_of_a_long_table_does_not_show(compact: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    rows = 12_345
    table = FilePlan(columns=COLUMNS, options=ExportOptions(compact=compact), rows=rows, size=rows * 160)
    digests = {
        hashlib.sha256(b"".join(XLSX.write(order_batches(rows, batch_rows=batch_rows), table, Tally()))).hexdigest()
        for batch_rows in (37, 1_000, 1_001, rows)
    }
    assert len(digests) == 1


def test_the_cutting_of_a_wide_table_does_not_show() -> None:
    columns = tuple(ColumnSpec(f"c{number}", ColumnType.NUMBER) for number in range(250))
    rows = [[str(row * column) for column in range(250)] for row in range(40)]
    assert write_xlsx(columns, rows, batch_rows=3).data == write_xlsx(columns, rows, batch_rows=40).data


def test_rendering_twice_gives_the_same_bytes() -> None:
    rows = [["a", "1", "2025-03-14", "2025-03-14 09:26:53", "1"]] * 3
    table = table_of(MIXED, rows)
    once, again = (b"".join(XLSX.write(batches_of(rows, 5), table, Tally())) for _ in range(2))
    assert once == again
