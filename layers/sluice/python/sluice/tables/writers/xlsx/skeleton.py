"""A workbook without rows, made by XlsxWriter: everything of the file except the tables' cells."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, groupby
from typing import Any, assert_never

import msgspec
from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name, xl_range

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import FilePlan
from sluice.tables.values.dates import read_date
from sluice.tables.values.number_formats import TEXT_FORMAT, number_format, quote_foreign, with_fraction
from sluice.tables.writers.xlsx.about_sheet import AboutSheet
from sluice.tables.writers.xlsx.cells import ColumnStyle
from sluice.tables.writers.xlsx.index_sheet import add_index
from sluice.tables.writers.xlsx.sheets import Worksheet

_GREY_BAND = "F2F2F2"
_THIN, _MEDIUM = 1, 2
_GAMMA = 2.2
_DARK_BELOW = 0.179
"""A luminance at which black and white text have equal contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Colours are RRGGBB; empty for none."""

    header_fill: str = ""
    header_line: bool = False
    """A line between the header and the rows."""
    bands: str = ""
    """Background of every other row."""
    grid: str = ""
    """Lines around every cell."""

    def header_format(self) -> dict[str, Any]:
        """The header's cell format, as XlsxWriter takes it."""
        made: dict[str, Any] = {"bold": True}
        if self.header_fill:
            made["bg_color"] = f"#{self.header_fill}"
            if _is_dark(self.header_fill):
                made["font_color"] = "#FFFFFF"
        if self.header_line:
            made["bottom"] = _MEDIUM
        return made | _lines(self.grid)

    def row_formats(self) -> list[tuple[str, dict[str, Any]]]:
        """Conditions on the data rows, with ``{first}`` for the number of the first one, and the format each gives.

        As conditions they cost nothing per cell, and belong to the place rather than to the row that is there.
        """
        banded = [("=MOD(ROW()-{first},2)=1", {"bg_color": f"#{self.bands}"})] if self.bands else []
        return banded + ([("=TRUE", _lines(self.grid))] if self.grid else [])


STYLES: dict[str, Style] = {
    "plain": Style(header_fill="D9E1F2"),
    "banded": Style(header_fill="D9E1F2", bands=_GREY_BAND),
    "bordered": Style(header_fill="E7E6E6", grid="BFBFBF"),
    "dark": Style(header_fill="1F3864", bands="DDE6F3"),
    "minimal": Style(header_line=True),
}
"""By the value of the option ``style``."""


def style_of(options: ExportOptions) -> Style:
    """The look that was chosen; a header colour and banding that were chosen too win over it."""
    look = STYLES[options.style]
    if options.header_color:
        look = replace(look, header_fill=options.header_color.removeprefix("#"))
    if options.banding is not None:
        look = replace(look, bands=(look.bands or _GREY_BAND) if options.banding else "")
    return look


def _lines(color: str) -> dict[str, Any]:
    return {"border": _THIN, "border_color": f"#{color}"} if color else {}


def _is_dark(color: str) -> bool:
    """Whether white text has more contrast on it than black, by the relative luminance of WCAG 2."""
    red, green, blue = (float((int(color[start : start + 2], 16) / 255) ** _GAMMA) for start in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < _DARK_BELOW


_FROZEN_ROWS_MAX = 20
"""A header further down is not frozen: the rows above it would fill the screen."""
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_SHEET_PART = re.compile(r"xl/worksheets/sheet([0-9]+)\.xml")
_SHEET_DATA = re.compile(rb"<sheetData\s*/>|<sheetData>(?P<rows>.*)</sheetData>", re.DOTALL)
_WIDTHS = re.compile(rb"<cols>.*</cols>", re.DOTALL)
_DIMENSION = re.compile(rb'<dimension ref="[^"]*"/>')
_STYLE = re.compile(rb'<c r="[A-Z]+[0-9]+"(?P<style> s="[0-9]+")?')
_PROPERTIES = "docProps/core.xml"
_TIMES = re.compile(rb"<dcterms:(created|modified) .*?</dcterms:\1>")
_ESCAPED_UNDERSCORE = re.compile(rb"_x005F_(?=x[0-9A-Fa-f]{4}_)")
_FIRST_PARTS = ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")
"""Programs that guess a file's type look at the first members of the archive."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The parts of a workbook, each worksheet in two halves between which its rows belong."""

    parts: list[tuple[str, bytes]]
    """Everything but the worksheets: name and content."""
    sheets: list[tuple[str, bytes, bytes]]
    """Name, what comes before the rows, what comes after them: those of the tables, then that about the file."""
    header: ColumnStyle
    columns: list[list[ColumnStyle]]
    """Of each table of the file, and of the one about it."""


def letters(columns: int) -> list[bytes]:
    """The names of the first columns: A to Z, AA, AB and so on."""
    return [xl_col_to_name(index).encode() for index in range(columns)]


def build_skeleton(
    plan: FilePlan, sheets: Sequence[Worksheet], *, indexed: bool, about: AboutSheet | None = None
) -> Skeleton:
    """Make the workbook around the rows: sheets, styles, frozen header, filters, properties; ``indexed`` adds an index.

    The columns' widths are left to ``width_element``.
    """
    buffer = io.BytesIO()
    workbook = Workbook(buffer, {"in_memory": True})
    styles = _Styles(workbook, plan if about is None else about.plan)
    rules = [(condition, workbook.add_format(made)) for condition, made in style_of(plan.options).row_formats()]
    worksheets = [workbook.add_worksheet(sheet.name) for sheet in sheets]
    for sheet, worksheet in zip(sheets, worksheets, strict=True):
        _lay_out(worksheet, sheet, plan.options, rules)
    styles.write_samples(worksheets[0])
    if indexed:
        add_index(workbook, plan, sheets)
    numbered = list(enumerate(sheets, 1))
    if about is not None:
        _lay_out(workbook.add_worksheet(about.sheet.name), about.sheet, about.plan.options, rules)
        numbered.append((len(sheets) + indexed + 1, about.sheet))
    created = read_date(plan.options.document_created)
    title = _NOT_XML.sub("", plan.options.document_title)
    workbook.set_properties({"title": title} | ({"created": created} if isinstance(created, datetime) else {}))
    workbook.close()
    return _take_apart(buffer, numbered, styles, dated=isinstance(created, datetime))


def width_element(widths: Sequence[int]) -> bytes:
    """The element of a worksheet that sets the columns' widths; it stands right before the rows."""
    buffer = io.BytesIO()
    workbook = Workbook(buffer, {"in_memory": True})
    worksheet = workbook.add_worksheet()
    column = 0
    for width, equal in groupby(widths):
        count = len(list(equal))
        worksheet.set_column(column, column + count - 1, width)
        column += count
    workbook.close()
    with zipfile.ZipFile(buffer) as archive:
        found = _WIDTHS.search(archive.read("xl/worksheets/sheet1.xml"))
    return found[0] if found else b""


def _lay_out(worksheet: Any, sheet: Worksheet, options: ExportOptions, rules: Sequence[tuple[str, Any]]) -> None:
    if options.right_to_left:
        worksheet.right_to_left()
    if sheet.header and options.freeze_header and sheet.start_row <= _FROZEN_ROWS_MAX:
        worksheet.freeze_panes(sheet.start_row, 0)
    if sheet.header and options.autofilter:
        worksheet.autofilter(sheet.start_row - 1, 0, sheet.last_row - 1, sheet.columns - 1)
    if sheet.rows:  # digits that are text are meant to be
        data = xl_range(sheet.first_data_row - 1, 0, sheet.last_row - 1, sheet.columns - 1)
        worksheet.ignore_errors({"number_stored_as_text": data})
    for condition, made in rules if sheet.rows else ():
        rule = {"type": "formula", "criteria": condition.format(first=sheet.first_data_row), "format": made}
        worksheet.conditional_format(sheet.first_data_row - 1, 0, sheet.last_row - 1, sheet.columns - 1, rule)


class _Styles:
    """The cell styles of a workbook; which number each has is read back from sample cells."""

    def __init__(self, workbook: Workbook, plan: FilePlan) -> None:
        header = style_of(plan.options).header_format()
        self._columns = [[column_formats(column) for column in part.columns] for part in plan.tables]
        self._header = ColumnStyle(_key(header), _key(header | _QUOTED))
        keys = {*self._header, *chain.from_iterable(style for columns in self._columns for style in columns)}
        self._keys = sorted(keys - {b""})
        self._made = [workbook.add_format(msgspec.json.decode(key)) for key in self._keys]

    def write_samples(self, worksheet: Any) -> None:
        for row, made in enumerate(self._made):
            worksheet.write_blank(row, 0, None, made)

    def read_samples(self, rows: bytes) -> tuple[ColumnStyle, list[list[ColumnStyle]]]:
        """The styles of the header and of each table's columns, from the XML of the sample cells."""
        found = [sample["style"] or b"" for sample in _STYLE.finditer(rows)]
        attributes = dict(zip(self._keys, found, strict=True)) | {b"": b""}

        def style(keys: ColumnStyle) -> ColumnStyle:
            return ColumnStyle(*map(attributes.__getitem__, keys))

        return style(self._header), [list(map(style, columns)) for columns in self._columns]


_QUOTED = {"quote_prefix": True}
_WRAPPED = {"text_wrap": True, "valign": "top"}


def column_formats(column: ColumnSpec) -> ColumnStyle:
    """The formats that cells of a column may have, as XlsxWriter takes them, in JSON; empty for the default."""
    code = quote_foreign(number_format(column))
    shown = {"num_format": code} if code else {}
    match column.type:
        case ColumnType.STRING:
            return ColumnStyle(*[_key(shown | more) for more in ({}, _QUOTED, _WRAPPED, _QUOTED | _WRAPPED)])
        case ColumnType.NUMBER:
            return ColumnStyle(_key(shown), _key(_QUOTED), digits=_key({"num_format": TEXT_FORMAT}))
        case ColumnType.DATE | ColumnType.DATETIME:
            return ColumnStyle(_key(shown), _key(_QUOTED), fraction=_key({"num_format": with_fraction(code)}))
        case ColumnType.BOOLEAN:
            return ColumnStyle(b"", _key(_QUOTED))
    assert_never(column.type)


def _key(properties: dict[str, Any]) -> bytes:
    return msgspec.json.encode(properties, order="sorted") if properties else b""


def _take_apart(
    buffer: io.BytesIO, sheets: Sequence[tuple[int, Worksheet]], styles: _Styles, *, dated: bool
) -> Skeleton:
    with zipfile.ZipFile(buffer) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    # The library escapes the title as it does cells, but properties are plain text.
    contents[_PROPERTIES] = _ESCAPED_UNDERSCORE.sub(b"_", contents[_PROPERTIES])
    if not dated:  # the library would give the time of its work
        contents[_PROPERTIES] = _TIMES.sub(b"", contents[_PROPERTIES])
    halves: list[tuple[str, bytes, bytes]] = []
    samples = b""
    for number, sheet in sheets:
        name = f"xl/worksheets/sheet{number}.xml"
        xml = contents.pop(name)
        found = _SHEET_DATA.search(xml)
        if found is None:
            raise ValueError("the worksheet has no place for rows")
        before, after = xml[: found.start()] + b"<sheetData>", b"</sheetData>" + xml[found.end() :]
        area = xl_range(sheet.start_row - 1, 0, sheet.last_row - 1, sheet.columns - 1).encode()
        halves.append((name, _DIMENSION.sub(b'<dimension ref="%b"/>' % area, before), after))
        samples = samples or found["rows"] or b""
    header, columns = styles.read_samples(samples)
    first = [(name, contents.pop(name)) for name in _FIRST_PARTS]
    return Skeleton(first + sorted(contents.items()), halves, header, columns)
