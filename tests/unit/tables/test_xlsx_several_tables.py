"""Workbooks of several tables, and rows that are spread over worksheets and workbooks."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import Replan, Tally, Warned
from sluice.tables.writers.xlsx.format import XLSX
from tests.support.xlsx_tables import NamedTable, Written, batches_of, plan_of, write_tables, write_xlsx

ORDERS = (ColumnSpec("id", ColumnType.NUMBER), ColumnSpec("at", ColumnType.DATE))
LINES = (ColumnSpec("order", ColumnType.NUMBER), ColumnSpec("article"), ColumnSpec("paid", ColumnType.BOOLEAN))
SHOP = [
    NamedTable("Orders", ORDERS, [["1", "2025-03-14"], ["2", "2025-03-15"]]),
    NamedTable("Lines", LINES, [["1", "tea", "true"], ["1", "=1+1", "false"], ["2", "", None]]),
    NamedTable("Refunds", (ColumnSpec("order"),), []),
]


def numbers(name: str, count: int) -> NamedTable:
    return NamedTable(name, (ColumnSpec("n", ColumnType.NUMBER),), [[str(number)] for number in range(count)])


def workbooks_in(data: bytes) -> dict[str, Written]:
    """The workbooks of an archive, by name, in its order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: Written(archive.read(name), Tally()) for name in archive.namelist()}


def values_of(sheet: Worksheet) -> list[list[object]]:
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def widths_of(sheet: Worksheet) -> list[tuple[int | None, int | None, int]]:
    """The first and the last of neighbouring columns, and how many characters wide they are."""
    return [(size.min, size.max, int(size.width)) for size in sheet.column_dimensions.values()]


def test_every_table_has_worksheets_and_columns_of_its_own() -> None:
    written = write_tables(SHOP)
    orders, lines, refunds = written.openpyxl_sheets()
    assert [sheet.title for sheet in (orders, lines, refunds)] == ["Orders", "Lines", "Refunds"]
    assert [cell.value for cell in orders["A"]] == ["id", 1, 2]
    assert [cell.number_format for cell in orders["B"][1:]] == ["yyyy-mm-dd"] * 2
    assert values_of(lines) == [
        ["order", "article", "paid"],
        [1, "tea", True],
        [1, "=1+1", False],
        [2, "", None],
    ]
    assert values_of(refunds) == [["order"]]
    assert [sheet.auto_filter.ref for sheet in (orders, lines, refunds)] == ["A1:B3", "A1:C4", "A1"]
    assert [sheet.calculate_dimension() for sheet in (orders, lines, refunds)] == ["A1:B3", "A1:C4", "A1:A1"]
    assert written.calamine_rows(2)[2] == [1, "=1+1", False]
    assert written.tally.rows == 5
    assert written.warnings == {}


def test_every_table_has_widths_of_its_own() -> None:
    wide = NamedTable("wide", (ColumnSpec("a"), ColumnSpec("b", width=33)), [["x" * 40, ""]])
    narrow = NamedTable("narrow", (ColumnSpec("a"),), [["x"]])
    first, second = write_tables([narrow, wide]).openpyxl_sheets()
    assert first.column_dimensions["A"].width < 15
    assert second.column_dimensions["A"].width > 40
    assert 33 <= second.column_dimensions["B"].width < 34


def test_one_declared_table_gives_the_file_of_a_table_with_that_sheet_name() -> None:
    (orders,) = SHOP[:1]
    plain = write_xlsx(orders.columns, orders.rows, options=ExportOptions(excel_sheet_name="Orders"))
    assert write_tables([orders]).data == plain.data


def test_tables_whose_names_become_equal_get_different_ones() -> None:
    tables = [numbers("a/b", 1), numbers("a:b", 1), numbers("A_B", 3)]
    sheets = write_tables(tables, limits=Limits(sheet_rows_max=3)).openpyxl_sheets()
    assert [sheet.title for sheet in sheets] == ["a_b (2)", "a_b (3)", "A_B", "A_B (4)", "Index"]


@pytest.mark.parametrize(
    ("declared", "titles"),
    [
        (["Orders", "orders", "Orders (2)"], ["Orders", "orders (3)", "Orders (2)"]),
        (["[]", "__"], ["__ (2)", "__"]),
        (["   ", "Sheet1"], ["Sheet1 (2)", "Sheet1"]),
    ],
)
def test_a_declared_name_that_is_legal_is_taken_by_no_other_table(declared: list[str], titles: list[str]) -> None:
    written = write_tables([numbers(name, 1) for name in declared])
    assert [sheet.title for sheet in written.openpyxl_sheets()] == titles


@pytest.mark.parametrize("compact", [False, True])
def test_a_table_goes_on_in_the_next_worksheet_and_the_next_table_begins_on_another(compact: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    options = ExportOptions(compact=compact, index_sheet=False)
    written = write_tables([numbers("a", 5), numbers("b", 2)], options=options, limits=Limits(sheet_rows_max=4))
    sheets = written.openpyxl_sheets()
    assert [sheet.title for sheet in sheets] == ["a", "a (2)", "b"]
    assert [[cell.value for cell in sheet["A"]] for sheet in sheets] == [["n", 0, 1, 2], ["n", 3, 4], ["n", 0, 1]]
    assert written.warnings == {Warned.SHEET_SPLIT: 1}


def test_an_index_sheet_says_which_rows_are_where() -> None:
    tables = [numbers("it's", 5), numbers("b", 0), numbers("c", 3)]
    *sheets, index = write_tables(tables, limits=Limits(sheet_rows_max=4)).openpyxl_sheets()
    assert values_of(index) == [
        ["Sheet", "Table", "First row", "Last row", "Rows"],
        ["it's", "it's", 1, 3, 3],
        ["it's (2)", "it's", 4, 5, 2],
        ["b", "b", None, None, 0],
        ["c", "c", 1, 3, 3],
    ]
    places = [cell.hyperlink.location for cell in index["A"][1:]]
    assert places == ["'it''s'!A1", "'it''s (2)'!A1", "'b'!A1", "'c'!A1"]
    assert [sheet.title for sheet in sheets] == ["it's", "it's (2)", "b", "c"]
    assert widths_of(index) == [(1, 2, 34), (3, 5, 14)]


def test_the_index_of_one_table_names_no_table() -> None:
    written = write_xlsx((ColumnSpec("n"),), [["x"]] * 5, limits=Limits(sheet_rows_max=4))
    index = written.openpyxl_sheets()[-1]
    assert values_of(index) == [
        ["Sheet", "First row", "Last row", "Rows"],
        ["Sheet1", 1, 3, 3],
        ["Sheet1 (2)", 4, 5, 2],
    ]
    assert widths_of(index) == [(1, 1, 34), (2, 4, 14)]


def test_a_workbook_without_a_split_has_no_index() -> None:
    assert len(write_tables(SHOP).openpyxl_sheets()) == 3


def test_a_table_that_is_called_index_keeps_its_name() -> None:
    written = write_tables([numbers("index", 5)], limits=Limits(sheet_rows_max=4))
    assert [sheet.title for sheet in written.openpyxl_sheets()] == ["index", "index (2)", "Index (3)"]


def test_more_rows_than_a_workbook_takes_become_numbered_workbooks_in_one_archive() -> None:
    tables = [numbers("a", 4), numbers("b", 8)]
    written = write_tables(tables, options=ExportOptions(workbook_rows_max=5), limits=Limits(sheet_rows_max=4))
    books = workbooks_in(written.data)
    assert list(books) == ["orders-1.xlsx", "orders-2.xlsx", "orders-3.xlsx"]
    found = {
        name: {sheet.title: [cell.value for cell in sheet["A"][1:]] for sheet in book.openpyxl_sheets()[:-1]}
        for name, book in books.items()
    }
    assert found == {
        "orders-1.xlsx": {"a": [0, 1, 2], "a (2)": [3], "b": [0]},
        "orders-2.xlsx": {"b": [1, 2, 3], "b (2)": [4, 5]},
        "orders-3.xlsx": {"b": [6, 7]},
    }
    last = books["orders-3.xlsx"].openpyxl_sheets()[-1]
    assert values_of(last)[1] == ["b", "b", 7, 8, 2]
    assert written.warnings == {Warned.SHEET_SPLIT: 2, Warned.WORKBOOK_SPLIT: 2}
    assert written.tally.rows == 12


def test_numbers_of_workbooks_sort_in_the_order_of_the_rows() -> None:
    books = workbooks_in(write_tables([numbers("a", 11)], options=ExportOptions(workbook_rows_max=1)).data)
    assert list(books) == sorted(books)
    assert len(books) == 11


def test_the_extension_tells_an_archive_from_a_workbook() -> None:
    options = ExportOptions(workbook_rows_max=10)
    assert [XLSX.extension(options, rows) for rows in (0, 10, 11)] == ["xlsx", "xlsx", "zip"]
    assert XLSX.media_type(options, 11) == "application/zip"
    assert XLSX.extension(ExportOptions(), 5_000_000) == "xlsx"
    assert XLSX.extension(ExportOptions(), 5_000_001) == "zip"


def test_a_worksheet_that_needs_zip64_gets_it_and_the_others_do_not() -> None:
    tables = [numbers("small", 3), numbers("large", 2_000), numbers("also small", 3)]
    plain = write_tables(tables)
    written = write_tables(tables, limits=Limits(zip32_bytes_max=40_000))
    assert versions_in(plain.data) == {20}
    sheets = [f"xl/worksheets/sheet{number}.xml" for number in (1, 2, 3)]
    assert [version_of(written.data, name) for name in sheets] == [20, 45, 20]
    assert written.parts() == plain.parts()
    assert written.tally == plain.tally


def test_a_worksheet_inside_an_archive_of_workbooks_can_need_zip64() -> None:
    options = ExportOptions(workbook_rows_max=2_000)
    written = write_tables([numbers("a", 2_010)], options=options, limits=Limits(zip32_bytes_max=40_000))
    first, second = workbooks_in(written.data).values()
    assert version_of(first.data, "xl/worksheets/sheet1.xml") == 45
    assert versions_in(second.data) == {20}
    assert first.openpyxl_sheets()[0].max_row == 2_001


def test_many_workbooks_that_need_zip64_cost_one_new_plan() -> None:
    """Not one for each, or an archive of twenty would be composed ten times over."""
    tables = [numbers("a", 2_000)]
    options, limits = ExportOptions(workbook_rows_max=500), Limits(zip32_bytes_max=20_000)
    plan = plan_of(tables, options=options, limits=limits)
    batches = list(batches_of(tables[0].rows, 1))
    with pytest.raises(Replan) as asked:
        list(XLSX.write(batches, plan, Tally()))
    assert asked.value.plan.large == {f"orders-{number}.xlsx/xl/worksheets/sheet1.xml" for number in (1, 2, 3, 4)}
    assert workbooks_in(b"".join(XLSX.write(batches, asked.value.plan, Tally())))


def test_a_declared_name_is_not_taken_by_the_second_worksheet_of_another_table() -> None:
    tables = [numbers("a", 5), numbers("a (2)", 1)]
    written = write_tables(tables, options=ExportOptions(index_sheet=False), limits=Limits(sheet_rows_max=4))
    found = {sheet.title: [cell.value for cell in sheet["A"][1:]] for sheet in written.openpyxl_sheets()}
    assert found == {"a": [0, 1, 2], "a (3)": [3, 4], "a (2)": [0]}


def test_tables_that_may_not_be_split_stay_whole_in_an_archive() -> None:
    options = ExportOptions(workbook_rows_max=5, on_sheet_full="error", index_sheet=False)
    written = write_tables([numbers("a", 3), numbers("b", 4), numbers("c", 0), numbers("d", 1)], options=options)
    found = [
        {sheet.title: sheet.max_row - 1 for sheet in book.openpyxl_sheets()}
        for book in workbooks_in(written.data).values()
    ]
    assert found == [{"a": 3}, {"b": 4, "c": 0, "d": 1}]
    assert written.warnings == {Warned.WORKBOOK_SPLIT: 1}


def test_cells_look_alike_in_every_workbook_of_an_archive() -> None:
    """A table's renderers go on in the next workbook, whose styles must have the same numbers."""
    days = NamedTable(
        "days", (ColumnSpec("day", ColumnType.DATE), ColumnSpec("n", ColumnType.NUMBER, format="0.00")), []
    )
    tables = [numbers("a", 3), replace(days, rows=[["2025-03-14", "1"]] * 4)]
    options = ExportOptions(workbook_rows_max=4, style="banded")
    books = workbooks_in(write_tables(tables, options=options).data).values()
    formats = [
        [cell.number_format for cell in row]
        for book in books
        for row in book.openpyxl_sheets()[-2].iter_rows(min_row=2)
    ]
    assert formats == [["yyyy-mm-dd", "0.00"]] * 4


def test_the_names_in_an_archive_are_no_longer_than_a_file_name_may_be() -> None:
    plan = replace(plan_of([numbers("a", 12)], options=ExportOptions(workbook_rows_max=1)), stem="订" * 48 + "x")
    data = b"".join(XLSX.write(batches_of([["1"]] * 12, 1), plan, Tally()))
    names = list(workbooks_in(data))
    assert names[0] == "订" * 47 + "-01.xlsx"
    assert {len(name.encode()) for name in names} == {149}


def version_of(data: bytes, name: str) -> int:
    """The version that the member's local header asks of its reader; ZIP64 needs 45."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        offset = opened.getinfo(name).header_offset
    return int(struct.unpack_from("<H", data, offset + 4)[0])


def versions_in(data: bytes) -> set[int]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        names = opened.namelist()
    return {version_of(data, name) for name in names}


def tables_of(*counts: int) -> list[NamedTable]:
    return [numbers(f"t{index}", count) for index, count in enumerate(counts)]


@pytest.mark.slow
@settings(max_examples=25)  # an example may make dozens of workbooks
@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    cuts=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    sheet_rows_max=st.integers(2, 6),
    workbook_rows_max=st.integers(3, 15),
)
def test_any_tables_come_back_whole_however_their_rows_were_cut(
    counts: Sequence[int], cuts: tuple[int, int], sheet_rows_max: int, workbook_rows_max: int
) -> None:
    options = ExportOptions(workbook_rows_max=workbook_rows_max, index_sheet=False)
    limits = Limits(sheet_rows_max=sheet_rows_max)
    tables = tables_of(*counts)
    one, other = (write_tables(tables, options=options, limits=limits, batch_rows=rows) for rows in cuts)
    assert one.data == other.data
    assert len(one.data) <= XLSX.size_bound(plan_of(tables, options=options, limits=limits))
    archived = sum(counts) > workbook_rows_max
    books = list(workbooks_in(one.data).values()) if archived else [one]
    found: dict[str, list[object]] = {table.name: [] for table in tables}
    for book in books:
        for sheet in book.openpyxl_sheets():
            found[sheet.title.split(" (")[0]] += [cell.value for cell in sheet["A"][1:]]
    assert found == {table.name: list(range(len(table.rows))) for table in tables}
