"""How many bytes a workbook can have at most, known before its first row."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.domain.limits import KIB, MIB
from sluice.tables.file_plan import FilePlan, PlannedTable
from sluice.tables.values.cells import SLICE_CELLS, slice_bytes_max
from sluice.tables.writers.xlsx.sheets import Worksheet
from sluice.tables.writers.xlsx.widths import CHARS_SEEN

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
_KEPT = 12 * MIB
"""Fragments between cells (six megabytes), days (three), fractions of days, the compressor, the blocks before it."""
_SLICE_COPIES = 3
"""How often a slice is there at once, as text: its values, its rows, the blocks before the compressor."""
_CELL_OBJECTS = 100
"""A rendered cell's bytes objects, their text apart, and their places in lists."""
_COLUMN_OBJECTS = 2 * KIB
"""A column's cells of a batch and of a slice, its renderer, its style, its width."""
_CHAR_BYTES_MAX = 4
"""A string has up to four bytes for each of its characters."""
_NAME_COPIES = 3
"""The header row as pieces, joined, and in a block."""


def held_bytes_max(table: FilePlan, batch_bytes: int) -> int:
    """The memory that writing never exceeds, in batches of at most ``batch_bytes`` canonical bytes.

    It has no term for the rows. It is the sum of what is kept for the whole
    file; of the rows whose width is looked at, and the batch that brings the
    last of them; of one slice in all its forms, where the worst text becomes
    seven times as long; and of the columns, most of all their names. A row
    alone, however large, is rendered cell by cell.
    """
    columns = sum(len(part.columns) for part in table.tables)
    names = max(_header_bytes_max(part) - len(part.columns) * _COLUMN_FRAME for part in table.tables)
    seen = _CHAR_BYTES_MAX * min(CHARS_SEEN, table.size)
    cells = min(SLICE_CELLS, sum(part.rows * len(part.columns) for part in table.tables))
    rendered = _SLICE_COPIES * slice_bytes_max(batch_bytes, growth=_ESCAPED_BYTES) + cells * _CELL_OBJECTS
    return _KEPT + seen + rendered + columns * _COLUMN_OBJECTS + _NAME_COPIES * names


def file_bytes_max(table: FilePlan, workbooks: Sequence[Sequence[Worksheet]]) -> int:
    """The size that the file never exceeds."""
    tables = table.tables
    xml = sum(_rows_bytes_max(part, _last_row(table)) for part in tables)
    for sheets in workbooks:
        xml += _package_bytes_max(table)
        xml += sum(_FRAME + _header_bytes_max(tables[sheet.table]) + _INDEX_ROW for sheet in sheets)
    return xml + xml // 256  # deflate adds a few bytes per block to what it cannot shrink


def _last_row(table: FilePlan) -> int:
    return min(table.options.excel_start_row + table.rows, table.limits.sheet_rows_max)


def _rows_bytes_max(part: PlannedTable, last_row: int) -> int:
    reference = _LETTERS_MAX + len(str(last_row))
    cells = part.rows * len(part.columns) * (_CELL + reference)
    return part.rows * _ROW + cells + _ESCAPED_BYTES * part.size


def _package_bytes_max(table: FilePlan) -> int:
    """Everything but the worksheets of one workbook, and its place in an archive of workbooks."""
    columns = sum(len(part.columns) for part in table.tables)
    title = len(table.title.encode("utf-8", "replace"))
    return 4 * _FRAME + 2 * _ESCAPED_BYTES * title + columns * _COLUMN_FRAME


def _header_bytes_max(part: PlannedTable) -> int:
    names = sum(len(column.name.encode("utf-8", "replace")) for column in part.columns)
    return _ESCAPED_BYTES * names + len(part.columns) * _COLUMN_FRAME
