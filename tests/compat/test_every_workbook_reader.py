"""Every program that reads workbooks sees, cell by cell, what was sent: each kind of value, whatever the options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from tests.support.readers.corpus import WORKBOOK_CORPUS, CorpusTable, Value, everyday_table
from tests.support.readers.workbooks import WORKBOOK_READERS, WorkbookReader, disagreements, load_excel_reader
from tests.support.xlsx_tables import write_xlsx

READERS = pytest.mark.parametrize("reader", WORKBOOK_READERS, ids=lambda reader: reader.name)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"compact": True},
    {"compression_enabled": True},
    {"compact": True, "compression_enabled": True},
    {"banding": True},
    {"style": "bordered"},
    {"style": "dark", "compact": True},
    {"header_color": "FFEE00"},
    {"right_to_left": True},
    {"freeze_header": False},
    {"autofilter": False},
    {"excel_sheet_name": "Ünïcode & <报表> 🎁"},
    {"banding": True, "header_color": "#102030", "right_to_left": True, "compact": True, "on_too_long": "cut"},
    {"timezone": "Asia/Kathmandu"},
    {"on_invalid": "text", "on_sheet_full": "error"},
)
"""Options that change how a workbook looks, and no value in it."""


def put(folder: Path, table: CorpusTable, *, limits: Limits | None = None, **options: Any) -> Path:
    """Write a table into a new file."""
    path = folder / f"{len(list(folder.iterdir())):03}.xlsx"
    chosen = ExportOptions(**{**table.options, **options})
    path.write_bytes(write_xlsx(table.columns, table.sent, options=chosen, limits=limits, batch_rows=17).data)
    return path


def check(
    reader: WorkbookReader, path: Path, found: dict[str, list[list[Any]]] | str, expected: Sequence[list[list[Value]]]
) -> list[str]:
    """What is wrong in a file whose sheets should have the ``expected`` rows."""
    if isinstance(found, str):
        return [f"{path.name}: {found}"]
    if len(found) != len(expected):
        return [f"{path.name}: {list(found)} instead of {len(expected)} sheets"]
    sheets = zip(found.items(), expected, strict=True)
    return [
        f"{path.name} {name}: {told}" for (name, rows), wanted in sheets for told in disagreements(reader, rows, wanted)
    ]


def whole(table: CorpusTable) -> list[list[Value]]:
    return [table.header_in_workbook, *table.in_workbook]


@READERS
@pytest.mark.parametrize("compact", [False, True])
def test_every_value_of_the_corpus_comes_back(reader: WorkbookReader, tmp_path: Path, *, compact: bool) -> None:
    files = [put(tmp_path, table, compact=compact) for table in WORKBOOK_CORPUS]
    found = reader.read(files)
    if compact and not reader.reads_compact:
        assert {type(sheets) for sheets in found} == {str}  # refused, rather than read as something else
        return
    wrong = []
    for table, path, sheets in zip(WORKBOOK_CORPUS, files, found, strict=True):
        if table.name in reader.refuses:
            assert isinstance(sheets, str)  # once it reads the table, this says so
        else:
            wrong += [f"{table.name}: {told}" for told in check(reader, path, sheets, [whole(table)])]
    assert wrong == []


@READERS
def test_no_option_that_is_about_looks_changes_a_value(reader: WorkbookReader, tmp_path: Path) -> None:
    table = everyday_table(60)
    files = [put(tmp_path, table, **options) for options in OPTIONS if reader.reads_compact or "compact" not in options]
    wrong = [
        told
        for path, found in zip(files, reader.read(files), strict=True)
        for told in check(reader, path, found, [whole(table)])
    ]
    assert wrong == []


@READERS
def test_a_table_starts_where_it_was_told_to(reader: WorkbookReader, tmp_path: Path) -> None:
    table = everyday_table(20)
    compact = {False, reader.reads_compact}
    ways: list[dict[str, Any]] = [
        {"excel_start_row": row, "compact": way, "header": header}
        for row in (1, 2, 25)
        for way in compact
        for header in (True, False)
    ]
    files = [put(tmp_path, table, **way) for way in ways]
    wrong = []
    for way, path, found in zip(ways, files, reader.read(files), strict=True):
        blank: list[list[Value]] = [[None] * len(table.columns)] * (way["excel_start_row"] - 1)
        wrong += check(reader, path, found, [blank + (whole(table) if way["header"] else table.in_workbook)])
    assert wrong == []


@READERS
def test_rows_beyond_a_sheet_are_read_from_the_next_ones(reader: WorkbookReader, tmp_path: Path) -> None:
    table = everyday_table(50)
    compact = [False, reader.reads_compact]
    files = [
        put(tmp_path, table, limits=Limits(sheet_rows_max=21), compact=way, excel_sheet_name="orders")
        for way in compact
    ]
    expected = [[table.header_in_workbook, *table.in_workbook[first : first + 20]] for first in (0, 20, 40)]
    expected.append(
        [
            ["Sheet", "First row", "Last row", "Rows"],
            ["orders", 1.0, 20.0, 20.0],
            ["orders (2)", 21.0, 40.0, 20.0],
            ["orders (3)", 41.0, 50.0, 10.0],
        ]
    )
    wrong = []
    for path, found in zip(files, reader.read(files), strict=True):
        wrong += check(reader, path, found, expected)
        assert list(found) == ["orders", "orders (2)", "orders (3)", "Index"]
    assert wrong == []


def test_duckdb_takes_each_column_for_its_type(tmp_path: Path) -> None:
    table = everyday_table(300)
    with load_excel_reader() as connection:
        found = connection.execute("SELECT * FROM read_xlsx(?)", [str(put(tmp_path, table))])
        kinds = [str(column[1]) for column in found.description]
        rows = [list(row) for row in found.fetchall()]
    text, double = "VARCHAR", "DOUBLE"
    assert kinds == [double, text, text, text, double, double, "TIMESTAMP", "BOOLEAN", text, text, text]
    assert rows == table.in_workbook
