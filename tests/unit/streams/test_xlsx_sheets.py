"""Which worksheets a table needs, and what they are called."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.streams.xlsx.sheets import legal_name, plan_sheets, sheet_names


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


@given(st.text(max_size=40))
def test_the_names_of_many_sheets_are_legal_and_unique(wanted: str) -> None:
    names = list(islice(sheet_names(wanted), 120))
    assert len({name.casefold() for name in names}) == 120
    assert all(1 <= units(name) <= 31 for name in names)
    assert names[1].endswith(" (2)")
    assert names[119].endswith(" (120)")


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [0]), (1, [1]), (8, [8]), (9, [9]), (10, [9, 1]), (18, [9, 9]), (19, [9, 9, 1])]
)
def test_rows_are_spread_over_as_many_sheets_as_needed(rows: int, sizes: list[int]) -> None:
    sheets = plan_sheets(rows, ExportOptions(), Limits(sheet_rows_max=10))
    assert [sheet.rows for sheet in sheets] == sizes


@pytest.mark.parametrize("rows", [1_048_575, 1_048_576])
def test_excels_own_limit_holds_a_header_and_1048575_rows(rows: int) -> None:
    sheets = plan_sheets(rows, ExportOptions(), Limits())
    assert [sheet.rows for sheet in sheets] == [1_048_575, 1][: len(sheets)]
    assert sheets[0].last_row == 1_048_576
    assert len(sheets) == (1 if rows == 1_048_575 else 2)


def test_a_shifted_table_holds_fewer_rows_on_a_sheet() -> None:
    sheets = plan_sheets(8, ExportOptions(excel_start_row=4), Limits(sheet_rows_max=10))
    assert [(sheet.first_data_row, sheet.last_row, sheet.rows) for sheet in sheets] == [(5, 10, 6), (5, 6, 2)]


def test_a_table_without_header_holds_one_row_more() -> None:
    sheets = plan_sheets(10, ExportOptions(header=False), Limits(sheet_rows_max=10))
    assert [(sheet.first_data_row, sheet.last_row, sheet.rows) for sheet in sheets] == [(1, 10, 10)]


def test_too_many_rows_are_refused_when_the_sheet_must_not_be_split() -> None:
    options = ExportOptions(on_sheet_full="error")
    assert len(plan_sheets(9, options, Limits(sheet_rows_max=10))) == 1
    with pytest.raises(SluiceError) as caught:
        plan_sheets(10, options, Limits(sheet_rows_max=10))
    assert (caught.value.code, caught.value.facts) == (ErrorCode.TOO_MANY_ROWS, {"rows": 10, "rows_max": 9})
