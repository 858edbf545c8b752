"""How a workbook is laid out around its rows, as openpyxl sees it."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest

from sluice.demo.order_table import COLUMNS, order_rows
from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.formats import FORMATS
from tests.support.xlsx_tables import (
    columns_of,
    params_of,
    table_of,
    unescaped,
    write_column,
    write_xlsx,
)

XLSX = FORMATS[ExportFormat.XLSX]
THREE = columns_of(ColumnType.STRING, ColumnType.NUMBER, ColumnType.DATE)
ROWS = [["a", "1", "2025-03-14"], ["b", "2", "2025-03-15"]]


def sheet_of(rows: list[list[str | None]] | None = None, **options: Any) -> Any:
    given: Any = ROWS if rows is None else rows
    return write_xlsx(THREE, given, options=ExportOptions(**options)).openpyxl_sheets()[0]


def width_of(*values: str, **column: Any) -> float:
    sheet = write_xlsx((ColumnSpec(**{"name": "n"} | column),), [[value] for value in values]).openpyxl_sheets()[0]
    return float(sheet.column_dimensions["A"].width)


def test_the_header_is_bold_frozen_and_has_filters() -> None:
    sheet = sheet_of()
    assert [cell.value for cell in sheet[1]] == ["c1", "c2", "c3"]
    assert all(cell.font.bold for cell in sheet[1])
    assert not any(cell.font.bold for cell in sheet[2])
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:C3"


def test_freezing_filters_and_header_can_be_left_out() -> None:
    plain = sheet_of(freeze_header=False, autofilter=False)
    assert (plain.freeze_panes, plain.auto_filter.ref) == (None, None)
    headless = sheet_of(header=False)
    assert (headless.freeze_panes, headless.auto_filter.ref) == (None, None)
    assert [cell.value for cell in headless["A"]] == ["a", "b"]


def test_a_table_without_rows_is_a_header() -> None:
    sheet = sheet_of([])
    assert [cell.value for cell in sheet[1]] == ["c1", "c2", "c3"]
    assert sheet.max_row == 1
    assert sheet.auto_filter.ref == "A1:C1"


def test_the_dimension_is_real() -> None:
    assert '<dimension ref="A1:C3"/>' in write_xlsx(THREE, ROWS).sheet_xml()
    shifted = write_xlsx(THREE, ROWS, options=ExportOptions(excel_start_row=7))
    assert '<dimension ref="A7:C9"/>' in shifted.sheet_xml()


@pytest.mark.parametrize("compact", [False, True])
def test_the_start_row_shifts_the_table(compact: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    written = write_xlsx(THREE, ROWS, options=ExportOptions(excel_start_row=4, compact=compact))
    sheet = written.openpyxl_sheets()[0]
    assert [cell.value for cell in sheet["A"]] == [None, None, None, "c1", "a", "b"]
    assert sheet.freeze_panes == "A5"
    assert sheet.auto_filter.ref == "A4:C6"
    assert [row[0] for row in written.calamine_rows()] == ["", "", "", "c1", "a", "b"]


def test_a_compact_table_that_starts_further_down_has_real_rows_before_it() -> None:
    """A row without a number is placed by those before it: a program that counts rows finds the table where it is."""
    for start_row in (2, 4, 25_000):
        written = write_xlsx(THREE, ROWS, options=ExportOptions(excel_start_row=start_row, compact=True))
        rows = written.sheet_xml().partition("<sheetData>")[2].partition("</sheetData>")[0]
        assert rows.startswith("<row></row>" * (start_row - 1) + "<row><c")
        assert rows.count("<row>") == start_row + 2
        plan = table_of(THREE, ROWS, options=ExportOptions(excel_start_row=start_row, compact=True))
        assert len(rows) <= XLSX.size_bound(plan)


def test_a_header_far_down_is_not_frozen_since_it_would_fill_the_screen() -> None:
    assert sheet_of(excel_start_row=20).freeze_panes == "A21"
    assert sheet_of(excel_start_row=21).freeze_panes is None


def test_cells_have_references_unless_compact() -> None:
    full, compact = (write_xlsx(THREE, ROWS, options=ExportOptions(compact=compact)) for compact in (False, True))
    assert full.sheet_xml().count(' r="C3"') == 1
    assert ' r="' not in compact.sheet_xml().partition("<sheetData>")[2]
    assert full.openpyxl_rows() == compact.openpyxl_rows()


def test_a_compact_workbook_is_about_a_third_smaller() -> None:
    rows = list(order_rows(2_000))
    full, compact = (len(write_xlsx(COLUMNS, rows, options=ExportOptions(compact=on)).data) for on in (False, True))
    assert 0.55 < compact / full < 0.72


def test_row_numbers_are_right_across_the_blocks_they_are_made_in() -> None:
    xml = write_xlsx(THREE, [["a", "1", None]] * 2_345).sheet_xml()
    rows = re.findall(r'<row r="(\d+)"><c r="A(\d+)"[^>]*>.*?<c r="B(\d+)"[^>]*>.*?<c r="C(\d+)"[^>]*>', xml)
    assert rows == [(str(number),) * 4 for number in range(1, 2_347)]


@pytest.mark.slow
@pytest.mark.parametrize("width", [30, 300, 3_000, 16_384])
def test_wide_tables_have_the_right_references(width: int) -> None:
    columns = (ColumnSpec("a", ColumnType.NUMBER),) * width
    rows = write_xlsx(columns, [[str(number)] * width for number in range(12)]).calamine_rows()
    assert rows == [["a"] * width] + [[float(number)] * width for number in range(12)]


def test_columns_have_number_formats() -> None:
    columns = (
        ColumnSpec("n", ColumnType.NUMBER, format="#,##0.00"),
        ColumnSpec("d", ColumnType.DATE),
        ColumnSpec("t", ColumnType.DATETIME),
        ColumnSpec("f", ColumnType.DATE, format="yyyy年m月d日"),
        ColumnSpec("p", ColumnType.NUMBER),
    )
    row = ["1234.5", "2025-03-14", "2025-03-14 09:26:53", "2025-03-14", "1"]
    formats = [cell.number_format for cell in write_xlsx(columns, [row]).openpyxl_sheets()[0][2]]
    assert formats == ["#,##0.00", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", 'yyyy"年"m"月"d"日"', "General"]


def test_a_hint_decides_the_width() -> None:
    assert width_of("x" * 40, width=12) == pytest.approx(12, abs=1)
    assert width_of("x", width=10_000) == pytest.approx(255, abs=1)


def test_the_first_rows_decide_the_width_without_a_hint() -> None:
    assert width_of("x" * 30) == pytest.approx(32, abs=1)
    assert width_of("中" * 15) == pytest.approx(32, abs=1)
    assert width_of("x" * 9 + "\n" + "y" * 18) == pytest.approx(20, abs=1)
    assert width_of("x" * 32_000) == pytest.approx(50, abs=1)
    assert width_of("") == pytest.approx(8, abs=1)
    assert width_of("x", name="n" * 20) == pytest.approx(24, abs=1)
    assert width_of("2025-03-14", type=ColumnType.DATETIME) == pytest.approx(21, abs=1)


def test_rows_after_the_hundredth_do_not_change_the_width() -> None:
    assert width_of(*["x"] * 100, "y" * 40) == width_of("x")
    assert width_of(*["x"] * 99, "y" * 40) > width_of("x")
    rows = [["x"]] * 100 + [["y" * 40]]
    cut_in_two = write_xlsx((ColumnSpec("n"),), rows, batch_rows=70).openpyxl_sheets()[0]
    assert cut_in_two.column_dimensions["A"].width == width_of("x")


def test_the_header_has_the_chosen_colour() -> None:
    assert sheet_of(header_color="ff8800")["A1"].fill.fgColor.rgb == "FFFF8800"
    assert sheet_of(header_color="#00AA00")["B1"].fill.fgColor.rgb == "FF00AA00"


def test_the_text_of_a_header_is_black_or_white_whichever_has_more_contrast() -> None:
    """Between these two greys the contrast with black and with white is equal."""
    black, white = (sheet_of(header_color=color)["A1"].font.color for color in ("FFFFFF", "000000"))
    assert white.rgb == "FFFFFFFF"
    assert sheet_of(header_color="757575")["A1"].font.color == black
    assert sheet_of(header_color="747474")["A1"].font.color == white


def test_bands_and_reading_direction_are_options() -> None:
    assert not sheet_of().conditional_formatting
    assert not sheet_of().sheet_view.rightToLeft
    dressed = sheet_of(banding=True, right_to_left=True)
    assert [str(area.sqref) for area in dressed.conditional_formatting] == ["A2:C3"]
    assert dressed.sheet_view.rightToLeft


def test_the_document_says_what_it_is_and_when_it_was_made() -> None:
    options = ExportOptions(document_title="订单 & <Orders>\x07", document_created="2025-03-14T09:26:53.5+08:00")
    properties = openpyxl.load_workbook(io.BytesIO(write_xlsx(THREE, ROWS, options=options).data)).properties
    assert properties.title == "订单 & <Orders>"
    assert properties.created.replace(tzinfo=UTC) == datetime(2025, 3, 14, 1, 26, 53, tzinfo=UTC)
    assert properties.modified == properties.created


def test_a_document_has_no_title_and_no_time_that_were_not_given() -> None:
    with zipfile.ZipFile(io.BytesIO(write_xlsx(THREE, ROWS).data)) as archive:
        properties = archive.read("docProps/core.xml")
    assert b"<dcterms:" not in properties
    assert b"<dc:title></dc:title>" in properties


@pytest.mark.parametrize("text", ["yesterday", "14.03.2025", "2025-03-14T25:00:00", "1899-12-31"])
def test_a_document_cannot_be_made_at_a_time_that_is_none(text: str) -> None:
    with pytest.raises(SluiceError, match="ISO 8601") as refused:
        XLSX.check_table(params_of(*THREE, document_created=text), Limits())
    assert refused.value.facts["field"] == "options.document_created"


def test_a_table_beyond_one_sheet_goes_on_in_the_next_with_its_own_header() -> None:
    rows = [[str(number)] for number in range(5)]
    options = ExportOptions(excel_sheet_name="Orders")
    written = write_xlsx((ColumnSpec("id"),), rows, options=options, limits=Limits(sheet_rows_max=3))
    *sheets, index = written.openpyxl_sheets()
    assert [sheet.title for sheet in [*sheets, index]] == ["Orders", "Orders (2)", "Orders (3)", "Index"]
    assert [[cell.value for cell in sheet["A"]] for sheet in sheets] == [
        ["id", "0", "1"],
        ["id", "2", "3"],
        ["id", "4"],
    ]
    assert [sheet.freeze_panes for sheet in sheets] == ["A2"] * 3
    assert [sheet.auto_filter.ref for sheet in sheets] == ["A1:A3", "A1:A3", "A1:A2"]


def test_column_names_are_text_whatever_they_hold() -> None:
    names = ["", "=1+1", " a ", "a", "a", "\ufeffid", "x\ny", "_x0041_", "\x07", "<&>"]
    row: list[list[str | None]] = [["v"] * len(names)]
    sheet = write_xlsx(tuple(ColumnSpec(name) for name in names), row).openpyxl_sheets()[0]
    assert [unescaped(cell.value) for cell in sheet[1]] == [None, *names[1:]]
    assert {cell.data_type for cell in sheet[1][1:]} == {"s"}
    assert sheet["B1"].quotePrefix
    assert all(cell.font.bold for cell in sheet[1])


def test_file_type_guessers_find_what_they_look_for_first() -> None:
    assert list(write_column(ColumnType.STRING, ["a"]).parts())[:2] == ["[Content_Types].xml", "_rels/.rels"]


def test_stronger_compression_makes_a_smaller_file_with_the_same_parts() -> None:
    rows: list[list[str | None]] = [[f"row {number}", str(number), "2025-03-14"] for number in range(3_000)]
    fast, small = (write_xlsx(THREE, rows, options=ExportOptions(compression_enabled=on)) for on in (False, True))
    assert len(small.data) < len(fast.data)
    assert small.parts() == fast.parts()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"excel_start_row": 0}, "options.excel_start_row"),
        ({"excel_start_row": -1}, "options.excel_start_row"),
        ({"excel_start_row": 1_048_576}, "options.excel_start_row"),
        ({"header_color": "red"}, "options.header_color"),
        ({"header_color": "FFF"}, "options.header_color"),
        ({"header_color": "FFFFFF00"}, "options.header_color"),
        ({"excel_sheet_name": "\ud800"}, "options.excel_sheet_name"),
    ],
)
def test_options_a_workbook_cannot_honour_are_refused_with_their_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(SluiceError) as caught:
        XLSX.check_table(params_of(ColumnSpec("a"), **options), Limits())
    assert caught.value.facts == {"field": field}


@pytest.mark.parametrize(
    ("code", "is_fine"),
    [
        *[("hh:mm:ss.000", True), ("ss.0", True), ('ss".0000"', True), ("ss\\.0000", True), ("0.0000", True)],
        *[("ss.0000", False), ("SS.000000", False), ("[ss].0000", False), ('"x"s.0000"y"', False)],
    ],
)
def test_a_format_with_more_decimals_of_a_second_than_excel_shows_is_refused(code: str, *, is_fine: bool) -> None:
    XLSX.check_table(params_of(ColumnSpec("a", format=code)), Limits())  # a format of texts means nothing
    for kind in (ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME):
        params = params_of(ColumnSpec("a"), ColumnSpec("b", kind, format=code))
        if is_fine:
            XLSX.check_table(params, Limits())
            continue
        with pytest.raises(SluiceError) as caught:
            XLSX.check_table(params, Limits())
        assert caught.value.facts == {"field": "columns[1].format"}


@pytest.mark.parametrize(
    "options", [{"excel_start_row": 1_048_575}, {"header_color": "00ff00"}, {"header_color": "#00FF00"}]
)
def test_options_at_their_limits_are_accepted(options: dict[str, Any]) -> None:
    XLSX.check_table(params_of(ColumnSpec("a"), **options), Limits())


def test_the_format_names_its_extension_and_media_type() -> None:
    assert XLSX.extension(ExportOptions(compression_enabled=True), 0) == "xlsx"
    assert XLSX.media_type(ExportOptions(), 0).endswith("spreadsheetml.sheet")
