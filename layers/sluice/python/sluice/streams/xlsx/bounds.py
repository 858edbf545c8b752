"""How many bytes a workbook can have at most, known before its first row."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.domain.table import Table
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


def sheet_bytes_max(table: Table, sheet: Sheet) -> int:
    """The size that a worksheet's XML never exceeds, before and after compression."""
    reference = _LETTERS_MAX + len(str(sheet.last_row))
    cells = sheet.rows * len(table.columns) * (_CELL + reference)
    texts = _ESCAPED_BYTES * (table.size if sheet.rows else 0)
    xml = _FRAME + sheet.rows * _ROW + cells + texts + _header_bytes_max(table)
    return xml + xml // 256  # deflate adds a few bytes per block to what it cannot shrink


def file_bytes_max(table: Table, sheets: Sequence[Sheet]) -> int:
    """The size that the file never exceeds."""
    rows = sum(sheet.rows for sheet in sheets)
    whole = Sheet("", table.options.excel_start_row, header=True, rows=rows)
    return sheet_bytes_max(table, whole) + len(sheets) * (_FRAME + _header_bytes_max(table)) + package_bytes_max(table)


def package_bytes_max(table: Table) -> int:
    """The size that everything but the worksheets never exceeds."""
    return (
        4 * _FRAME + _ESCAPED_BYTES * len(table.title.encode("utf-8", "replace")) + len(table.columns) * _COLUMN_FRAME
    )


def _header_bytes_max(table: Table) -> int:
    names = sum(len(column.name.encode("utf-8", "replace")) for column in table.columns)
    return _ESCAPED_BYTES * names + len(table.columns) * _COLUMN_FRAME
