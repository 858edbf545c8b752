"""The named styles of a workbook, as openpyxl sees them."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnType
from sluice.tables.writers.xlsx.skeleton import STYLES
from tests.support.xlsx_tables import columns_of, write_xlsx

COLUMNS = columns_of(ColumnType.STRING, ColumnType.NUMBER)
ROWS: list[list[str | None]] = [["=a", "1"], ["b", "2"], [None, None]]
NO_FILL = "00000000"
PALE_BLUE, GREY, DARK_BLUE = "FFD9E1F2", "FFE7E6E6", "FF1F3864"
GREY_BAND, BLUE_BAND = "FFF2F2F2", "FFDDE6F3"


def sheet_of(**options: Any) -> Any:
    return write_xlsx(COLUMNS, ROWS, options=ExportOptions(**options)).openpyxl_sheets()[0]


def fill_of(cell: Any) -> str:
    return str(cell.fill.fgColor.rgb)


def bands_of(sheet: Any) -> list[tuple[str, str]]:
    """Area and colour of the rules that give a background."""
    rules = [(str(area.sqref), rule) for area in sheet.conditional_formatting for rule in area.rules]
    return [(area, rule.dxf.fill.bgColor.rgb) for area, rule in rules if rule.dxf.fill]


def grids_of(sheet: Any) -> list[str]:
    """Areas of the rules that give every cell lines on all sides."""
    rules = [(str(area.sqref), rule.dxf.border) for area in sheet.conditional_formatting for rule in area.rules]
    return [
        area
        for area, lines in rules
        if lines and {lines.left.style, lines.right.style, lines.top.style, lines.bottom.style} == {"thin"}
    ]


def test_every_style_that_can_be_asked_for_has_a_look() -> None:
    hints = get_type_hints(ExportOptions)
    assert list(STYLES) == list(get_args(hints["style"]))


@pytest.mark.parametrize(
    ("style", "fill", "bands", "grids"),
    [
        ("plain", PALE_BLUE, [], []),
        ("banded", PALE_BLUE, [("A2:B4", GREY_BAND)], []),
        ("bordered", GREY, [], ["A2:B4"]),
        ("dark", DARK_BLUE, [("A2:B4", BLUE_BAND)], []),
        ("minimal", NO_FILL, [], []),
    ],
)
def test_a_style_decides_header_bands_and_lines(style: str, fill: str, bands: list[Any], grids: list[str]) -> None:
    sheet = sheet_of(style=style)
    assert [fill_of(cell) for cell in sheet[1]] == [fill, fill]
    assert all(cell.font.bold for cell in sheet[1])
    assert bands_of(sheet) == bands
    assert grids_of(sheet) == grids
    assert sheet["A1"].border.bottom.style == {"bordered": "thin", "minimal": "medium"}.get(style)
    assert not any(cell.font.bold for cell in sheet[2])


def test_the_plain_style_is_the_default() -> None:
    assert write_xlsx(COLUMNS, ROWS).data == write_xlsx(COLUMNS, ROWS, options=ExportOptions(style="plain")).data


def test_a_header_colour_and_banding_that_were_chosen_win_over_the_style() -> None:
    coloured = sheet_of(style="dark", header_color="FFEE00")
    assert fill_of(coloured["A1"]) == "FFFFEE00"
    assert bands_of(coloured) == [("A2:B4", BLUE_BAND)]
    assert fill_of(sheet_of(style="minimal", header_color="FFEE00")["B1"]) == "FFFFEE00"
    assert bands_of(sheet_of(style="dark", banding=False)) == []
    assert bands_of(sheet_of(style="dark", banding=True)) == [("A2:B4", BLUE_BAND)]
    assert bands_of(sheet_of(style="minimal", banding=True)) == [("A2:B4", GREY_BAND)]
    both = sheet_of(style="bordered", banding=True)
    assert (bands_of(both), grids_of(both)) == ([("A2:B4", GREY_BAND)], ["A2:B4"])


@pytest.mark.parametrize(
    ("color", "is_white"),
    [
        *[("000000", True), ("102030", True), ("C00000", True), ("0000FF", True)],
        *[("00AA00", False), ("FFEE00", False), ("FFFFFF", False), ("D9E1F2", False), ("ff8800", False)],
    ],
)
def test_header_text_is_white_on_a_dark_background(color: str, *, is_white: bool) -> None:
    font = sheet_of(header_color=color)["A1"].font
    assert (font.color.rgb == "FFFFFFFF") is is_white


@pytest.mark.parametrize("style", STYLES)
def test_a_style_gives_the_same_bytes_however_the_rows_were_cut(style: str) -> None:
    options = ExportOptions(style=style)  # type: ignore[arg-type]  # the names are those of the option
    files = {write_xlsx(COLUMNS, ROWS, options=options, batch_rows=rows).data for rows in (1, 2, 1_000)}
    assert len(files) == 1


@pytest.mark.parametrize("style", ["bordered", "dark"])
def test_a_style_follows_the_table_to_its_row_and_needs_no_rows(style: str) -> None:
    shifted = sheet_of(style=style, excel_start_row=5)
    assert [str(area.sqref) for area in shifted.conditional_formatting] == ["A6:B8"]
    formulas = [rule.formula for area in shifted.conditional_formatting for rule in area.rules]
    assert formulas == {"bordered": [["TRUE"]], "dark": [["MOD(ROW()-6,2)=1"]]}[style]
    empty = write_xlsx(COLUMNS, [], options=ExportOptions(style=style)).openpyxl_sheets()[0]  # type: ignore[arg-type]  # a name of a style
    assert not empty.conditional_formatting
