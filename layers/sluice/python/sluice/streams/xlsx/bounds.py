"""How many bytes a workbook can have at most, known before its first row."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.domain.table import SheetTable, Table
from sluice.streams.xlsx.sheets import Sheet

_ESCAPED_BYTES = 7
"""One byte of text becomes at most this many, as in ``_x0007_``."""
_CELL = len('<c r="" s="00000" t="inlineStr"><is><t xml:space="preserve"></t></is></c>')
_ROW = len('<row r="1048576"></row>')
_LETTERS_MAX = len("XFD")
_FRAME = 16 * 1024
"""What a worksheet or the package has besides rows and columns."""
_COLUMN_FRAME = 4 * 1024
"""Width, number format and header of a column, its name apart."""
_INDEX_ROW = 4 * 1024
"""A worksheet's line on the index sheet, with its link, and its place in the package."""


def file_bytes_max(table: Table, workbooks: Sequence[Sequence[Sheet]]) -> int:
    """The size that the file never exceeds."""
    tables = table.tables
    xml = sum(_rows_bytes_max(part, _last_row(table)) for part in tables)
    for sheets in workbooks:
        xml += _package_bytes_max(table)
        xml += sum(_FRAME + _header_bytes_max(tables[sheet.table]) + _INDEX_ROW for sheet in sheets)
    return xml + xml // 256  # deflate adds a few bytes per block to what it cannot shrink


def _last_row(table: Table) -> int:
    return min(table.options.excel_start_row + table.rows, table.limits.sheet_rows_max)


def _rows_bytes_max(part: SheetTable, last_row: int) -> int:
    reference = _LETTERS_MAX + len(str(last_row))
    cells = part.rows * len(part.columns) * (_CELL + reference)
    return part.rows * _ROW + cells + _ESCAPED_BYTES * part.size


def _package_bytes_max(table: Table) -> int:
    """Everything but the worksheets of one workbook, and its place in an archive of workbooks."""
    columns = sum(len(part.columns) for part in table.tables)
    title = len(table.title.encode("utf-8", "replace"))
    return 4 * _FRAME + 2 * _ESCAPED_BYTES * title + columns * _COLUMN_FRAME


def _header_bytes_max(part: SheetTable) -> int:
    names = sum(len(column.name.encode("utf-8", "replace")) for column in part.columns)
    return _ESCAPED_BYTES * names + len(part.columns) * _COLUMN_FRAME
