"""The XLSX format: what it refuses, a table as a stream of bytes, and how many they can be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sluice.domain.errors import ErrorCode
from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch, is_text
from sluice.tables.file_plan import FilePlan, PlannedTable, Tally
from sluice.tables.values.cell_checks import cell_error, check_sheets, check_values, refuse
from sluice.tables.values.dates import DateFault, read_date
from sluice.tables.values.number_formats import CUSTOM_FORMATS_MAX, is_too_fine, number_format, with_fraction
from sluice.tables.values.slices import SLICE_CELLS, slice_bytes_max
from sluice.tables.writers.format import Format
from sluice.tables.writers.xlsx.about_sheet import COLUMNS, text_bytes
from sluice.tables.writers.xlsx.sheets import check_rows_fit, data_rows_max, plan_workbooks, workbooks_needed
from sluice.tables.writers.xlsx.text import is_too_long
from sluice.tables.writers.xlsx.widths import CHARS_SEEN

_DATES = (ColumnType.DATE, ColumnType.DATETIME)
_FORMATTED = (ColumnType.NUMBER, *_DATES)
_COLOR = re.compile(r"#?[0-9A-Fa-f]{6}")
_MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}
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
_ABOUT_OBJECTS = KIB
"""A line about the file: its texts and cells, and those of its slice."""
_NAME_COPIES = 3
"""The header row as pieces, joined, and in a block."""


class XlsxFormat(Format):
    """A workbook (Office Open XML), or an archive of numbered workbooks."""

    name = ExportFormat.XLSX

    def extension(self, options: ExportOptions, rows: int) -> str:
        """The file name's extension, without the dot: that of an archive when one workbook does not hold ``rows``."""
        return "zip" if workbooks_needed(rows, options) > 1 else "xlsx"

    def media_type(self, options: ExportOptions, rows: int) -> str:
        """The Content-Type of a file of ``rows``."""
        return _MEDIA_TYPES[self.extension(options, rows)]

    def check_table(self, params: ExportParams, limits: Limits) -> None:
        """Refuse columns and options a workbook cannot honour.

        Raises TOO_MANY_COLUMNS, or INVALID_REQUEST with the fact ``field``.
        """
        check_sheets(params, limits)
        _check_formats(params)
        options = params.options
        if options.excel_start_row < 1 or data_rows_max(options, limits) < 1:
            raise refuse("options.excel_start_row", "The start row is from 1 and leaves room for the header and a row.")
        if options.header_color and not _COLOR.fullmatch(options.header_color):
            raise refuse("options.header_color", "A colour is six hexadecimal digits, RRGGBB.")
        if not is_text(options.excel_sheet_name):
            raise refuse("options.excel_sheet_name", "A worksheet's name is Unicode text.")
        if not is_text(options.document_title):
            raise refuse("options.document_title", "A title is Unicode text.")
        if options.document_created and isinstance(read_date(options.document_created), DateFault):
            raise refuse("options.document_created", "A time is ISO 8601, such as 2025-03-14T09:26:53Z.")
        if options.workbook_rows_max < limits.workbook_rows_least:
            raise refuse("options.workbook_rows_max", f"workbook_rows_max is at least {limits.workbook_rows_least}.")

    def check_rows(self, params: ExportParams, rows: Sequence[int], limits: Limits) -> None:
        """Refuse more rows of a table than one worksheet holds when ``on_sheet_full`` is ``error``.

        Raises TOO_MANY_ROWS, with ``sheet`` when there are several tables.
        """
        check_rows_fit(rows, [table.name for table in params.tables], params.options, limits)

    def check_batch(
        self, batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, limits: Limits
    ) -> None:
        """Refuse cells a workbook cannot hold.

        Raises INVALID_VALUE, INVALID_TEXT or CELL_TOO_LONG with the facts ``row``
        (from 1 within the batch) and ``column``.
        """
        check_values(batch, columns, options)
        if options.on_too_long == "cut":
            return
        for cells, column in zip(batch.columns, columns, strict=True):
            index = is_too_long(cells, batch.rows, limits.cell_units_max)
            if index is not None:
                raise cell_error(ErrorCode.CELL_TOO_LONG, index, column, units_max=limits.cell_units_max)

    def write(self, batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
        """Yield the workbook in blocks of 64 KiB; the same rows give the same bytes, however cut.

        More rows than ``workbook_rows_max`` become an archive of workbooks. Reads
        batches only as they are needed, after looking at the first 100 rows of a
        table for its column widths. Raises TOO_MANY_ROWS before the first block,
        ROW_COUNT_MISMATCH unless exactly the rows of each table come, and
        ``Replan`` when a member of the archive turns out to need ZIP64. ``row`` in
        an error about a cell is from 1 within its table.
        """
        # Imported here, because the relay checks batches and never writes: 20 MB and 150 ms less for its start.
        from sluice.tables.writers.xlsx.workbook import file_blocks  # noqa: PLC0415

        yield from file_blocks(batches, plan, tally)

    def size_bound(self, plan: FilePlan) -> int:
        """No workbook of this table has more bytes."""
        tables = plan.tables
        last_row = min(plan.options.excel_start_row + plan.rows, plan.limits.sheet_rows_max)
        cell_bytes = _CELL + _LETTERS_MAX + len(str(last_row))
        xml = sum(part.rows * (_ROW + len(part.columns) * cell_bytes) + _ESCAPED_BYTES * part.size for part in tables)
        # Everything but the worksheets of one workbook, and its place in an archive of workbooks.
        title = len(plan.options.document_title.encode("utf-8", "replace"))
        columns = sum(len(part.columns) for part in tables)
        package = 4 * _FRAME + 2 * _ESCAPED_BYTES * title + columns * _COLUMN_FRAME
        empty_rows = len("<row></row>") * plan.options.excel_start_row * plan.options.compact
        for sheets in plan_workbooks(plan):
            xml += (
                empty_rows * len(sheets)
                + package
                + _about_bytes_max(plan)
                + sum(_FRAME + _header_bytes_max(tables[sheet.table]) + _INDEX_ROW for sheet in sheets)
            )
        return xml + xml // 256  # deflate adds a few bytes per block to what it cannot shrink

    def memory_bound(self, plan: FilePlan, batch_bytes: int) -> int:
        """Bound the memory of ``write``, in batches of at most ``batch_bytes`` canonical bytes.

        It has no term for the rows. It is the sum of what is kept for the whole
        file; of the rows whose width is looked at, and the batch that brings the
        last of them; of one slice in all its forms, where the worst text becomes
        seven times as long; of the columns, most of all their names; and of what
        is said about the file. A row alone, however large, is rendered cell by cell.
        """
        columns = sum(len(part.columns) for part in plan.tables)
        names = max(map(_name_bytes_max, plan.tables))
        seen = _CHAR_BYTES_MAX * min(CHARS_SEEN, plan.size)
        cells = min(SLICE_CELLS, sum(part.rows * len(part.columns) for part in plan.tables))
        rendered = _SLICE_COPIES * slice_bytes_max(batch_bytes, growth=_ESCAPED_BYTES) + cells * _CELL_OBJECTS
        about = len(plan.about) * _ABOUT_OBJECTS + _CHAR_BYTES_MAX * text_bytes(plan.about)
        return _KEPT + seen + rendered + columns * _COLUMN_OBJECTS + _NAME_COPIES * names + about


XLSX = XlsxFormat()


def _check_formats(params: ExportParams) -> None:
    codes: set[str] = set()
    for number, table in enumerate(params.tables):
        of_sheet = f"sheets[{number}]." if params.sheets else ""
        for index, column in enumerate(table.columns):
            field = f"{of_sheet}columns[{index}].format"
            if column.type in _FORMATTED and is_too_fine(column.format):
                raise refuse(field, "A workbook shows at most three decimals of a second.")
            if column.type is not ColumnType.BOOLEAN:
                code = number_format(column)
                codes |= {code, with_fraction(code)} if column.type in _DATES else {code}
            if len(codes) > CUSTOM_FORMATS_MAX:
                detail = f"A workbook has at most {CUSTOM_FORMATS_MAX} different formats; one of a time counts twice."
                raise refuse(field, detail)


def _about_bytes_max(plan: FilePlan) -> int:
    """Of the worksheet about the file, whose lines are two more in each of several workbooks."""
    if not plan.about:
        return 0
    line = _ROW + len(COLUMNS) * (_CELL + _LETTERS_MAX + len("1048576"))
    return _FRAME + _INDEX_ROW + (len(plan.about) + 3) * line + _ESCAPED_BYTES * text_bytes(plan.about)


def _header_bytes_max(part: PlannedTable) -> int:
    return _name_bytes_max(part) + len(part.columns) * _COLUMN_FRAME


def _name_bytes_max(part: PlannedTable) -> int:
    return _ESCAPED_BYTES * sum(len(column.name.encode("utf-8", "replace")) for column in part.columns)
