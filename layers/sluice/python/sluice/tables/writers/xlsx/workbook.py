"""One workbook: the skeleton's parts, and between them the rows as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, PlannedTable, Tally
from sluice.tables.writers.sealed_rows import row_count_error
from sluice.tables.writers.xlsx.columns import ColumnStyle
from sluice.tables.writers.xlsx.package import Member
from sluice.tables.writers.xlsx.rows import RowAssembler
from sluice.tables.writers.xlsx.sheets import Worksheet
from sluice.tables.writers.xlsx.skeleton import Skeleton, build_skeleton, letters, width_element
from sluice.tables.writers.xlsx.table_rows import TableRows
from sluice.tables.writers.xlsx.text import text_tail

_ROWS = b"<sheetData>"


class SheetFeed:
    """Gives every worksheet of the file its rows, from the one stream of batches."""

    def __init__(self, batches: Iterable[Batch], table: FilePlan, tally: Tally) -> None:
        self._batches = iter(batches)
        self._table = table
        self._tally = tally
        self._rows: TableRows | None = None
        self._assembler: RowAssembler | None = None

    def sheet_blocks(self, sheet: Worksheet, halves: tuple[bytes, bytes], skeleton: Skeleton) -> Iterator[bytes]:
        """The XML of the next worksheet, around its rows the ``halves`` without them."""
        part = self._table.tables[sheet.table]
        if sheet.rows_before == 0:
            styles = skeleton.columns[sheet.table]
            self._rows = TableRows(self._batches, part, styles, table=self._table, tally=self._tally)
            self._assembler = RowAssembler(letters(sheet.columns), compact=self._table.options.compact)
        assert self._rows is not None
        assert self._assembler is not None
        before, after = halves
        yield _with_widths(before, self._rows.widths)
        yield _first_rows(sheet, part, skeleton.header, compact=self._table.options.compact)
        number = sheet.first_data_row
        for rows, columns in self._rows.take(sheet.rows):
            yield from self._assembler.rows(columns, rows, number)
            number += rows
            del columns  # one row may be as large as a batch
        self._check_end()
        yield after

    def _check_end(self) -> None:
        """Raise ROW_COUNT_MISMATCH when all rows of the file were taken and there are more."""
        if self._tally.rows == self._table.rows and any(batch.rows for batch in self._batches):
            raise row_count_error(self._tally.rows, self._table.rows)


def workbook_members(
    feed: SheetFeed, table: FilePlan, sheets: Sequence[Worksheet], *, indexed: bool
) -> Iterator[Member]:
    """The parts of one workbook, in their order; they are to be read in it."""
    skeleton = build_skeleton(table, sheets, indexed=indexed)
    for name, content in skeleton.parts:
        yield Member(name, [content])
    for sheet, (name, *halves) in zip(sheets, skeleton.sheets, strict=True):
        yield Member(name, feed.sheet_blocks(sheet, (halves[0], halves[1]), skeleton))


def _with_widths(before: bytes, widths: Sequence[int]) -> bytes:
    return before.removesuffix(_ROWS) + width_element(widths) + _ROWS


def _first_rows(sheet: Worksheet, part: PlannedTable, style: ColumnStyle, *, compact: bool) -> bytes:
    """The header row, if there is one, placed where the table starts."""
    place = b'<row r="%d"></row>' % (sheet.start_row - 1) if compact and sheet.start_row > 1 else b""
    if not sheet.header:
        return place
    row = b"<row>" if compact else b'<row r="%d">' % sheet.start_row
    cells = [row]
    for column, letter in zip(part.columns, letters(len(part.columns)), strict=True):
        reference = b"" if compact else b' r="%b%d"' % (letter, sheet.start_row)
        tail = (
            text_tail(column.name, style=style.cell, quoted_style=style.quoted) if column.name else style.cell + b"/>"
        )
        cells.append(b"<c" + reference + tail)
    return place + b"".join(cells) + b"</row>"
