"""Any table whose types are detected has in its file what was sent, wherever in the table a value stands."""

from __future__ import annotations

import io
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Warned
from sluice.tables.readers.csv import CsvTable
from sluice.tables.readers.typed_table import DetectedTable
from sluice.tables.values.type_detection import detect_types
from tests.support.csv_files import read_csv, write_csv
from tests.support.naughty_texts import NAUGHTY_TEXTS
from tests.support.xlsx_tables import unescaped, write_xlsx

WHOLE = st.integers(-(10**16), 10**16).map(str)
MIXED = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,8})?", fullmatch=True)
CANONICAL = st.decimals(-(10**6), 10**6, places=4).map(lambda found: f"{found.normalize():f}")
FLOATS = st.floats(-1e6, 1e6).map(repr)
MOMENTS = st.datetimes(datetime(1900, 1, 1)).map(  # noqa: DTZ001 -- cells have no time zone
    lambda found: found.replace(microsecond=found.microsecond // 1000 * 1000)  # what openpyxl reads
)
TIMES = (
    *("{:%m-%d}", "{:%m-%d %H:%M}", "{:%m-%d %H:%M:%S}", "{:%m-%dT%H:%M:%SZ}", "{:%m-%d %H:%M:%S.%f}"),
    *("{:%m-%dT%H:%M:%S}.125+00:00", "{:%m-%d %H:%M:%S+08:00}"),
)
ODD = st.sampled_from(
    [
        *("1E5", "1e5", "+49", "007", "-0", "0.0", "1.10", " 1", "1 ", "1,5", "50%", "NaN", "inf", "\u0661", "0x10"),
        *("on", "1", "0", "t", "yes", "true", "TRUE", "False", "tRUE", "fal\u017fe", "1_0", ""),
        *("2024-02-29", "2025-02-29", "1899-12-31", "24:00", "2025-03-14T01:00:00+08:00", "2025-03-14 24:00"),
    ]
)
TEXT = ODD | st.sampled_from([one for one in NAUGHTY_TEXTS if "\0" not in one]) | WHOLE | MIXED | FLOATS


def of_time(shape: str) -> st.SearchStrategy[str]:
    """Years before 1000 have no four digits in every C library's strftime, so they are written apart."""
    return MOMENTS.map(lambda found: f"{found.year:04}-{shape.format(found)}")


ALIKE = [WHOLE, MIXED, CANONICAL, FLOATS, st.sampled_from(["true", "FALSE"]), *map(of_time, TIMES)]
ALIKE += [st.decimals(-1000, 1000, places=places, allow_nan=False).map(str) for places in (1, 2, 3)]
FIRST = st.one_of([st.lists(kind, min_size=1, max_size=6) for kind in [*ALIKE, TEXT]])
"""Texts of one kind, so that often they have a type."""
LATER = st.one_of([TEXT, *ALIKE])


def detected(texts: list[str]) -> ColumnSpec:
    (column,) = detect_types(("c",), Batch.of_columns([texts], len(texts)))
    return column


@given(first=FIRST, later=st.lists(LATER, max_size=6), batch_rows=st.integers(1, 13))
def test_a_csv_file_has_every_text_as_it_was_sent(first: list[str], later: list[str], batch_rows: int) -> None:
    rows = [[text, "z"] for text in [*first, *later]]
    columns = (detected(first), ColumnSpec("z"))
    for on_invalid in ("error", "text"):
        written = write_csv(rows, columns, batch_rows=batch_rows, formula_guard="off", on_invalid=on_invalid)
        assert read_csv(written.data)[1:] == rows


@pytest.mark.slow
@given(first=FIRST, text=LATER, batch_rows=st.integers(1, 13))
@example(first=["0"], text="1899-12-31", batch_rows=1)
@example(first=["2000-01-01 00:00"], text="1899-12-31", batch_rows=1)
def test_a_value_comes_out_the_same_wherever_it_stands(first: list[str], text: str, batch_rows: int) -> None:
    column = detected(first)
    options = ExportOptions(on_invalid="text")
    file = write_xlsx((column,), [[one] for one in [*first, text]], options=options, batch_rows=batch_rows)
    cells = [row[0] for row in openpyxl.load_workbook(io.BytesIO(file.data)).active.iter_rows(min_row=2)]  # type: ignore[union-attr]  # there is a sheet
    for sent, cell in zip([*first, text], cells, strict=True):
        assert shown(cell.value, cell.number_format) == canonical(sent) or unescaped(cell.value or "") == sent
    is_text = column.type is not ColumnType.STRING and cells[-1].data_type in {"s", "inlineStr"}
    fits = detected([*first, text])
    is_day = fits == column and is_day_that_no_cell_shows(text)  # in the form of the column, and out of its range
    if is_text and not is_day:
        assert fits != column, "it would have kept its type as a first value"
        assert file.tally.warnings[Warned.INVALID_AS_TEXT] == 1
    elif column.type is not ColumnType.STRING and text:
        assert not file.tally.warnings[Warned.INVALID_AS_TEXT]


def is_day_that_no_cell_shows(text: str) -> bool:
    return re.match("1[0-8][0-9]{2}-|0[0-9]{3}-", text) is not None


def canonical(sent: str) -> str:
    """A form without what a cell does not tell apart: T and blank, how a boolean is written, microseconds."""
    if sent in {"True", "TRUE", "true", "False", "FALSE", "false"}:
        return sent.upper()
    found = re.fullmatch(r"([0-9-]{10})[ T]([0-9:]{5,8}\.[0-9]{3}|[0-9:]{5,8}(?:\.[0-9]+)?)[0-9]*(.*)", sent)
    if found is None:
        return sent
    time, _, fraction = found[2].partition(".")
    return f"{found[1]} {time}{'.' + fraction.ljust(3, '0') if fraction else ''}{found[3]}"


def shown(value: Any, code: str) -> str | None:
    """What a spreadsheet shows of a cell, by the few formats that detection gives."""
    match value:
        case bool():
            return str(value).upper()
        case int() | float():
            return shown_number(value, code)
        case datetime():
            day, time = f"{value:%m-%d}", f"{value:%H:%M:%S}.{value.microsecond:06}"
            decimals = len(found[0]) - 1 if (found := re.search(r"\.0+", code)) else 0
            end = re.findall(r'"([^"]*)"', code)
            length = 0 if "hh" not in code else 5 if "ss" not in code else 8 + bool(decimals) + decimals
            text = f"{value.year:04}-{day}" + (f" {time[:length]}" if length else "")
            return text + (end[0] if end else "")
    return value if isinstance(value, str) else None


def shown_number(value: float, code: str) -> str:
    exact = Decimal(repr(value))
    if code == "General":
        assert abs(value) < 10**11
        return f"{exact.normalize():f}" if exact == exact.to_integral() else repr(value)
    if code.endswith("#"):
        shortest = f"{exact.normalize():f}"
        return shortest if "." in shortest else f"{shortest}.0"
    return f"{exact:.{len(code.partition('.')[2])}f}"


@given(first=FIRST, later=st.lists(LATER, max_size=3))
def test_a_table_that_is_read_and_written_again_is_the_same(first: list[str], later: list[str]) -> None:
    texts = [text for text in [*first, *later] if text]
    body = write_csv([[text, "z"] for text in texts], (ColumnSpec("c"), ColumnSpec("z")), formula_guard="off").data
    table = CsvTable([body], Limits())
    read = DetectedTable(table, table.read_names(), ExportOptions(), Limits())
    rows = [list(row) for part in read.batches for row in part.batch.to_rows()]
    written = write_csv(rows, read.columns, formula_guard="off", on_invalid="text")
    assert written.data == body
