"""Any table of any values comes back equal by a program that is not ours, however its rows were cut into batches."""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from tests.support.csv_files import write_csv
from tests.support.naughty_texts import NAUGHTY_TEXTS
from tests.support.readers import csv_programs, workbooks
from tests.support.readers.corpus import BLANK, NULL, Cell, CorpusTable, moment, number, text, truth
from tests.support.xlsx_tables import write_xlsx

Cells = st.SearchStrategy[Cell]
DIGITS = "0123456789"

WHOLE = st.integers(-(10**15) + 1, 10**15 - 1).map(str).map(number)
LONG = st.integers(10**15, 10**40).map(str).map(text)
LEADING_ZEROS = st.from_regex(r"0{1,4}[0-9]{1,20}", fullmatch=True).map(text)
DECIMAL = st.tuples(st.integers(0, 999_999), st.text(DIGITS, min_size=1, max_size=9)).map(
    lambda found: number(f"{found[0]}.{found[1]}")
)
EXPONENT = st.tuples(
    st.sampled_from(["", "-", "+"]), st.integers(1, 9), st.sampled_from(["e", "E", "e+", "e-"]), st.integers(0, 300)
).map(lambda found: number("".join(map(str, found))))
MILLISECONDS = st.integers(0, (datetime(9999, 12, 31) - datetime(1900, 1, 1)) // timedelta(milliseconds=1))
MOMENTS = MILLISECONDS.map(lambda count: datetime(1900, 1, 1) + timedelta(milliseconds=count))
SECONDS = MOMENTS.map(lambda found: found.replace(microsecond=0))
EARLIER = st.datetimes(max_value=datetime(1899, 12, 31, 23, 59, 59)).map(str)


def sent_as(separator: str) -> Callable[[datetime], Cell]:
    return lambda found: moment(found.isoformat(separator), found)


def days(found: datetime) -> Cell:
    return moment(str(found.date()), datetime(found.year, found.month, found.day))


def texts(*, nul: bool) -> Cells:
    odd = st.text(
        st.sampled_from(["\r", "\n", "\t", " ", "_", "x", "0", "4", "1", '"', ",", "=", "\x07", "\ufffe"]), max_size=9
    )
    return (st.sampled_from(NAUGHTY_TEXTS) | odd | st.text()).filter(lambda found: nul or "\0" not in found).map(text)


CELLS: dict[ColumnType, Cells] = {
    ColumnType.NUMBER: WHOLE | LONG | LEADING_ZEROS | DECIMAL | EXPONENT | st.sampled_from([NULL, BLANK]),
    ColumnType.DATE: SECONDS.map(days) | EARLIER.map(text) | st.sampled_from([NULL, BLANK]),
    ColumnType.DATETIME: SECONDS.map(sent_as(" "))
    | MOMENTS.map(sent_as("T"))
    | EARLIER.map(text)
    | st.sampled_from([NULL, BLANK]),
    ColumnType.BOOLEAN: st.sampled_from(
        [truth("true", shown=True), truth("no", shown=False), truth("1", shown=True), NULL, BLANK]
    ),
}


@st.composite
def tables(draw: st.DrawFn, *, nul: bool) -> CorpusTable:
    """A few columns of any types; the last is one of texts that are not null, so that readers see its width."""
    kinds = [*draw(st.lists(st.sampled_from(list(ColumnType)), max_size=4)), ColumnType.STRING]
    cells = CELLS | {ColumnType.STRING: texts(nul=nul) | st.just(NULL)}
    row = st.tuples(*[cells[kind] for kind in kinds[:-1]], st.just(text("end")))
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return CorpusTable("any", tuple(ColumnSpec(f"c{index}", kind) for index, kind in enumerate(kinds)), rows)


def reader_named(name: str, readers: Any) -> Any:
    return next(reader for reader in readers if reader.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calamine", "openpyxl"])
@settings(max_examples=60)
@given(table=tables(nul=True), batch_rows=st.integers(1, 13), compact=st.booleans())
def test_any_table_comes_back_from_a_workbook(name: str, table: CorpusTable, batch_rows: int, *, compact: bool) -> None:
    reader = reader_named(name, workbooks.WORKBOOK_READERS)
    options = ExportOptions(compact=compact)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.xlsx"
        path.write_bytes(write_xlsx(table.columns, table.sent, options=options, batch_rows=batch_rows).data)
        (sheets,) = reader.read([path])
    expected = [table.header_in_workbook, *table.in_workbook]
    assert workbooks.disagreements(reader, sheets["Sheet1"], expected) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["polars", "DuckDB"])
@settings(max_examples=60)
@given(
    table=tables(nul=False), batch_rows=st.integers(1, 13), quote_all=st.booleans(), delimiter=st.sampled_from(",;\t|")
)
def test_any_table_comes_back_from_a_csv_file_with_its_nulls(
    name: str, table: CorpusTable, batch_rows: int, *, quote_all: bool, delimiter: str
) -> None:
    reader = reader_named(name, csv_programs.CSV_READERS)
    options: dict[str, Any] = {"quote_all": quote_all, "csv_delimiter": delimiter, "formula_guard": "off"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(write_csv(table.sent, table.columns, batch_rows=batch_rows, **options).data)
        (found,) = reader.read([csv_programs.CsvFile(path, delimiter=delimiter, columns=len(table.columns))])
    assert not isinstance(found, str), found
    assert csv_programs.disagreements(reader, found, [table.names, *table.in_csv]) == []
