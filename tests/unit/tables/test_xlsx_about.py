"""The last worksheet of a workbook that says what the file is."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import AboutLine, FilePlan, Tally
from sluice.tables.writers.xlsx.format import XLSX
from tests.support.xlsx_tables import NamedTable, Written, batches_of, plan_of, table_of

LINES = (AboutLine("File", "orders.xlsx"), AboutLine("Rows in this file", "5"), AboutLine("Column", "n", "number"))
ROWS = [[str(number)] for number in range(5)]
NUMBERS = (ColumnSpec("n", ColumnType.NUMBER),)
HEADER = ["What", "Value", "Notes"]


def written(plan: FilePlan, rows: Sequence[Sequence[str]] = ROWS, batch_rows: int = 1_000) -> Written:
    tally = Tally()
    data = b"".join(XLSX.write(batches_of(rows, 1, batch_rows), plan, tally))
    assert len(data) <= XLSX.size_bound(plan)
    assert tally.rows == len(rows)
    return Written(data, tally)


def plan(about: Sequence[AboutLine] = LINES, rows: int = 5, limits: Limits | None = None, **options: Any) -> FilePlan:
    made = table_of(NUMBERS, ROWS[:rows], options=ExportOptions(**options), limits=limits)
    return replace(made, about=tuple(about))


@pytest.mark.parametrize("options", [{}, {"compact": True}, {"style": "dark"}, {"excel_start_row": 7, "header": False}])
def test_it_is_the_last_worksheet_and_the_table_is_as_it_is_without_it(options: dict[str, Any]) -> None:
    file, without = written(plan(**options)), written(plan((), **options))
    assert file.openpyxl_rows(1) == without.openpyxl_rows(1)
    first, about = file.openpyxl_sheets()
    assert (first.title, about.title) == ("Sheet1", "About")
    expected: list[list[Any]] = [
        HEADER,
        ["File", "orders.xlsx", None],
        ["Rows in this file", "5", None],
        ["Column", "n", "number"],
    ]
    assert file.openpyxl_rows(2) == expected
    assert file.calamine_rows(2) == [[cell or "" for cell in row] for row in expected]
    assert about.auto_filter.ref is None
    assert file.warnings == without.warnings


def test_a_file_without_rows_has_it_too() -> None:
    file = written(plan(rows=0), [])
    assert file.openpyxl_rows(1) == [["n"]]
    assert file.openpyxl_rows(2)[0] == HEADER


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["Orders"], "About"),
        (["About"], "About (2)"),
        (["ABOUT", "about (2)"], "About (3)"),
        (["Ａｂｏｕｔ"], "About (2)"),  # noqa: RUF001 -- the full-width forms are meant
    ],
)
def test_its_name_is_none_of_those_of_the_tables(names: list[str], title: str) -> None:
    tables = [NamedTable(name, NUMBERS, [["1"]]) for name in names]
    made = replace(plan_of(tables), about=LINES)
    sheets = written(made, [["1"]] * len(names), batch_rows=1).openpyxl_sheets()
    assert [sheet.title for sheet in sheets] == [*names, title]


def test_it_stands_behind_the_index_and_takes_no_row_of_a_split_table() -> None:
    file = written(plan(limits=Limits(sheet_rows_max=3)))
    titles = ["Sheet1", "Sheet1 (2)", "Sheet1 (3)", "Index", "About"]
    assert [sheet.title for sheet in file.openpyxl_sheets()] == titles
    assert file.openpyxl_rows(3) == [["n"], [4]]
    assert file.openpyxl_rows(4)[0] == ["Sheet", "First row", "Last row", "Rows"]
    assert file.openpyxl_rows(5)[1] == ["File", "orders.xlsx", None]


def test_each_workbook_of_an_archive_has_it_and_says_which_one_it_is() -> None:
    made = plan(workbook_rows_max=2)
    archive = zipfile.ZipFile(io.BytesIO(written(made).data))
    books = [Written(archive.read(name), Tally()) for name in archive.namelist()]
    ends = [book.openpyxl_rows(len(book.openpyxl_sheets()))[-2:] for book in books]
    assert ends == [
        [["Workbook", f"{number} of 3", None], ["Rows in this workbook", rows, None]]
        for number, rows in ((1, "2"), (2, "2"), (3, "1"))
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'x", "=HYPERLINK(1)"])
def test_no_text_in_it_is_a_formula_or_becomes_one_on_edit(text: str) -> None:
    file = written(plan([AboutLine(text, text, text)]))
    sheet = file.openpyxl_sheets()[1]
    assert [cell.value for cell in sheet[2]] == [text] * 3
    assert all(cell.quotePrefix and cell.data_type != "f" for cell in sheet[2])
    assert "<f>" not in file.sheet_xml(2)


def test_a_text_that_no_cell_holds_is_cut_or_replaced_and_ends_no_export() -> None:
    lines = [AboutLine("half a pair", "\ud800"), AboutLine("nul", "a\0b"), AboutLine("long", "x" * 40_000)]
    rows = written(plan(lines)).openpyxl_rows(2)
    assert [row[1] for row in rows[1:]] == ["?", "a\0b", "x" * 32_767]


def test_the_bytes_do_not_depend_on_how_the_rows_were_cut() -> None:
    assert written(plan(), batch_rows=1).data == written(plan(), batch_rows=5).data
