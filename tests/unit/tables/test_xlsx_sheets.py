"""Which worksheets a table needs, and what they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.tables.file_plan import FilePlan, PlannedTable
from sluice.tables.writers.xlsx.sheets import Worksheet, check_rows_fit, free_name, legal_name, plan_workbooks


def plan(rows: int, options: ExportOptions, limits: Limits) -> list[Worksheet]:
    """The worksheets of a table that one workbook holds."""
    table = FilePlan(columns=(), options=options, rows=rows, size=0, limits=limits)
    (workbook,) = plan_workbooks(table)
    return workbook


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("wanted", "legal"),
    [
        ("Orders", "Orders"),
        ("", "Sheet1"),
        ("   ", "Sheet1"),
        ("'''", "Sheet1"),
        ("'a'", "a"),
        ("it's", "it's"),
        ("a[b]c:d*e?f/g\\h", "a_b_c_d_e_f_g_h"),
        ("History", "History_"),
        ("HISTORY", "HISTORY_"),
        ("Histories", "Histories"),
        ("x" * 40, "x" * 31),
        ("报表" * 20, ("报表" * 20)[:31]),
        ("😀" * 16, "😀" * 15),
        ("a\r\nb\x00c\ud800", "abc"),
        ("订单 (1)", "订单 (1)"),
    ],
)
def test_row_62_a_sheet_name_is_made_legal(wanted: str, legal: str) -> None:
    assert legal_name(wanted) == legal


@given(st.text(max_size=50))
def test_every_name_becomes_legal_and_stays_so(wanted: str) -> None:
    name = legal_name(wanted)
    assert 1 <= units(name) <= 31
    assert not set(name) & set("[]:*?/\\")
    assert not name.startswith("'")
    assert not name.endswith("'")
    assert name.casefold() != "history"
    assert legal_name(name) == name


@pytest.mark.slow
@given(st.text(max_size=40))
def test_the_names_of_many_sheets_are_legal_and_unique(wanted: str) -> None:
    taken: set[str] = set()
    names = [free_name(wanted, taken) for _ in range(120)]
    assert len({name.casefold() for name in names}) == 120
    assert all(1 <= units(name) <= 31 for name in names)
    assert names[1].endswith(" (2)")
    assert names[119].endswith(" (120)")


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [0]), (1, [1]), (8, [8]), (9, [9]), (10, [9, 1]), (18, [9, 9]), (19, [9, 9, 1])]
)
def test_rows_are_spread_over_as_many_sheets_as_needed(rows: int, sizes: list[int]) -> None:
    sheets = plan(rows, ExportOptions(), Limits(sheet_rows_max=10))
    assert [sheet.rows for sheet in sheets] == sizes


@pytest.mark.parametrize("rows", [1_048_575, 1_048_576])
def test_excels_own_limit_holds_a_header_and_1048575_rows(rows: int) -> None:
    sheets = plan(rows, ExportOptions(), Limits())
    assert [sheet.rows for sheet in sheets] == [1_048_575, 1][: len(sheets)]
    assert sheets[0].last_row == 1_048_576
    assert len(sheets) == (1 if rows == 1_048_575 else 2)


def test_a_shifted_table_holds_fewer_rows_on_a_sheet() -> None:
    sheets = plan(8, ExportOptions(excel_start_row=4), Limits(sheet_rows_max=10))
    assert [(sheet.first_data_row, sheet.last_row, sheet.rows) for sheet in sheets] == [(5, 10, 6), (5, 6, 2)]


def test_a_table_without_header_holds_one_row_more() -> None:
    sheets = plan(10, ExportOptions(header=False), Limits(sheet_rows_max=10))
    assert [(sheet.first_data_row, sheet.last_row, sheet.rows) for sheet in sheets] == [(1, 10, 10)]


def test_too_many_rows_are_refused_when_the_sheet_must_not_be_split() -> None:
    options = ExportOptions(on_sheet_full="error")
    check_rows_fit([9], [""], options, Limits(sheet_rows_max=10))
    with pytest.raises(SluiceError) as caught:
        check_rows_fit([10], [""], options, Limits(sheet_rows_max=10))
    assert (caught.value.code, caught.value.facts) == (ErrorCode.TOO_MANY_ROWS, {"rows": 10, "rows_max": 9})


def test_the_table_that_has_too_many_rows_is_named_where_there_are_several() -> None:
    options = ExportOptions(on_sheet_full="error")
    with pytest.raises(SluiceError) as caught:
        check_rows_fit([9, 10], ["orders", "lines"], options, Limits(sheet_rows_max=10))
    assert caught.value.facts == {"rows": 10, "rows_max": 9, "sheet": "lines"}


def several(rows: list[int], **options: int) -> list[list[tuple[str, int, int]]]:
    """Name, rows before and rows of each worksheet of each workbook."""
    sheets = tuple(PlannedTable(name=f"t{index}", columns=(), rows=count, size=0) for index, count in enumerate(rows))
    limits = Limits(sheet_rows_max=11)
    made = ExportOptions(**options)  # type: ignore[arg-type]  # the options given are numbers
    table = FilePlan(columns=(), sheets=sheets, options=made, rows=sum(rows), size=0, limits=limits)
    return [[(sheet.name, sheet.rows_before, sheet.rows) for sheet in workbook] for workbook in plan_workbooks(table)]


def test_every_table_begins_on_a_worksheet_of_its_own() -> None:
    assert several([3, 0, 12]) == [[("t0", 0, 3), ("t1", 0, 0), ("t2", 0, 10), ("t2 (2)", 10, 2)]]


def test_a_full_workbook_is_followed_by_another_that_goes_on_with_the_next_row() -> None:
    assert several([3, 30], workbook_rows_max=15) == [
        [("t0", 0, 3), ("t1", 0, 10), ("t1 (2)", 10, 2)],
        [("t1", 12, 10), ("t1 (2)", 22, 5)],
        [("t1", 27, 3)],
    ]


def test_a_table_without_rows_does_not_need_another_workbook() -> None:
    assert several([15, 0], workbook_rows_max=15) == [[("t0", 0, 10), ("t0 (2)", 10, 5), ("t1", 0, 0)]]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 40))
def test_every_row_stands_exactly_once_in_the_order_of_its_table(rows: list[int], workbook_rows_max: int) -> None:
    workbooks = several(rows, workbook_rows_max=workbook_rows_max)
    sheets = [sheet for workbook in workbooks for sheet in workbook]
    for index, count in enumerate(rows):
        stand = [
            row
            for name, before, held in sheets
            if name.split(" (")[0] == f"t{index}"
            for row in range(before, before + held)
        ]
        assert stand == list(range(count))
    assert all(held <= 10 for _, _, held in sheets)
    assert all(sum(held for _, _, held in workbook) == workbook_rows_max for workbook in workbooks[:-1])
    assert all(len({name for name, _, _ in workbook}) == len(workbook) for workbook in workbooks)
