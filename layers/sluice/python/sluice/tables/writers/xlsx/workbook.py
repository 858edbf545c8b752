"""A file of tables: one workbook, or an archive of numbered ones, and the rows in it as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sluice.domain.filenames import cut_stem
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, PlannedTable, Tally, Warned
from sluice.tables.values.slices import slices
from sluice.tables.writers.sealed_rows import row_count_error
from sluice.tables.writers.xlsx.about_sheet import AboutSheet, about_sheet
from sluice.tables.writers.xlsx.cells import ColumnStyle, RenderedColumn, Renderer, column_renderer
from sluice.tables.writers.xlsx.index_sheet import needs_index
from sluice.tables.writers.xlsx.package import Member, archive
from sluice.tables.writers.xlsx.rows import RowAssembler
from sluice.tables.writers.xlsx.sheets import Worksheet, check_rows_fit, plan_workbooks
from sluice.tables.writers.xlsx.skeleton import Skeleton, build_skeleton, letters, width_element
from sluice.tables.writers.xlsx.text import text_tail
from sluice.tables.writers.xlsx.widths import column_widths, has_lines, look_ahead

_ROWS = b"<sheetData>"
_EMPTY_ROWS_AT_ONCE = 10_000


class RenderedRows(NamedTuple):
    """Some rows, rendered."""

    rows: int
    columns: Iterable[RenderedColumn]
    """To be read once."""

    def split(self, rows: int) -> tuple[RenderedRows, RenderedRows]:
        """The first ``rows`` rows, and the others."""
        columns = list(self.columns)
        head = [column._replace(values=column.values[:rows]) for column in columns]
        tail = [column._replace(values=column.values[rows:]) for column in columns]
        return RenderedRows(rows, head), RenderedRows(self.rows - rows, tail)


class TableRows:
    """Renders the next table of ``batches``. Reads those that tell the widths of its columns at once."""

    def __init__(
        self,
        batches: Iterator[Batch],
        part: PlannedTable,
        styles: Sequence[ColumnStyle],
        *,
        plan: FilePlan,
        tally: Tally,
    ) -> None:
        texts, taken = look_ahead(_UpToTheLast(batches, part, plan=plan, tally=tally), len(part.columns))
        self.widths = column_widths(part.columns, texts)
        columns = zip(part.columns, styles, texts, strict=True)
        renderers = [
            column_renderer(column, style.in_lines() if has_lines(column, seen) else style, plan, tally)
            for column, style, seen in columns
        ]
        self._rendered = _render(taken, renderers)
        self._left: RenderedRows | None = None
        self._tally = tally

    def take(self, rows: int) -> Iterator[RenderedRows]:
        """Yield the next ``rows`` rows; the table has that many."""
        while rows:
            piece = self._left or next(self._rendered)
            self._left = None
            if piece.rows > rows:
                piece, self._left = piece.split(rows)
            rows -= piece.rows
            self._tally.rows += piece.rows
            passed = [piece]
            del piece
            yield passed.pop()


class _UpToTheLast:
    """The batches of one table, which end with its last row. Raises ROW_COUNT_MISMATCH when one does not.

    An iterator of its own, because a generator would hold the batch that it gave away.
    """

    def __init__(self, batches: Iterator[Batch], part: PlannedTable, *, plan: FilePlan, tally: Tally) -> None:
        self._batches = batches
        self._plan = plan
        self._tally = tally
        self._rows_left = part.rows

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self._rows_left:
            raise StopIteration
        while True:
            batch = next(self._batches, None)
            if batch is None or batch.rows > self._rows_left:
                raise row_count_error(self._tally.rows, self._plan.rows)
            if batch.rows:  # one without rows may be left over from the table before
                self._rows_left -= batch.rows
                return batch


def _render(batches: Iterator[Batch], renderers: Sequence[Renderer]) -> Iterator[RenderedRows]:
    first_row = 0
    for parts in map(slices, batches):  # no name is bound to a batch, so none outlives its slices
        for part in parts:
            if part.rows:
                rows, columns = part.rows, _rendered(renderers, part, first_row)
                del part
                # A row alone may be as large as a batch: its cells are rendered as they are written.
                passed = [RenderedRows(rows, columns if rows == 1 else list(columns))]
                del columns
                yield passed.pop()
                first_row += rows


def _rendered(renderers: Sequence[Renderer], part: Batch, first_row: int) -> Iterator[RenderedColumn]:
    return (render(cells, part.rows, first_row) for render, cells in zip(renderers, part.columns, strict=True))


class SheetFeed:
    """Gives every worksheet of the file its rows, from the one stream of batches."""

    def __init__(self, batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> None:
        self._batches = iter(batches)
        self._plan = plan
        self._tally = tally
        self._rows: TableRows | None = None
        self._assembler: RowAssembler | None = None

    def sheet_blocks(self, sheet: Worksheet, halves: tuple[bytes, bytes], skeleton: Skeleton) -> Iterator[bytes]:
        """The XML of the next worksheet, around its rows the ``halves`` without them."""
        part = self._plan.tables[sheet.table]
        if sheet.rows_before == 0:
            styles = skeleton.columns[sheet.table]
            self._rows = TableRows(self._batches, part, styles, plan=self._plan, tally=self._tally)
            self._assembler = RowAssembler(letters(sheet.columns), compact=self._plan.options.compact)
        assert self._rows is not None
        assert self._assembler is not None
        before, after = halves
        yield before.removesuffix(_ROWS) + width_element(self._rows.widths) + _ROWS
        if self._plan.options.compact:  # without references a row is placed by the rows before it, so these are real
            for first in range(1, sheet.start_row, _EMPTY_ROWS_AT_ONCE):
                yield b"<row></row>" * min(_EMPTY_ROWS_AT_ONCE, sheet.start_row - first)
        yield _first_rows(sheet, part, skeleton.header, compact=self._plan.options.compact)
        number = sheet.first_data_row
        for rows, columns in self._rows.take(sheet.rows):
            yield from self._assembler.rows(columns, rows, number)
            number += rows
            del columns  # one row may be as large as a batch
        # All rows of the file were taken, so there are no more.
        if self._tally.rows == self._plan.rows and any(batch.rows for batch in self._batches):
            raise row_count_error(self._tally.rows, self._plan.rows)
        yield after


def workbook_members(
    feed: SheetFeed, plan: FilePlan, sheets: Sequence[Worksheet], *, indexed: bool, about: AboutSheet | None
) -> Iterator[Member]:
    """The parts of one workbook, in their order; they are to be read in it."""
    skeleton = build_skeleton(plan, sheets, indexed=indexed, about=about)
    for name, content in skeleton.parts:
        yield Member(name, [content])
    feeds = [(feed, sheet) for sheet in sheets]
    if about is not None:
        feeds.append((SheetFeed([about.lines], about.plan, Tally()), about.sheet))
    for (own, sheet), (name, *halves) in zip(feeds, skeleton.sheets, strict=True):
        yield Member(name, own.sheet_blocks(sheet, (halves[0], halves[1]), skeleton))


def _first_rows(sheet: Worksheet, part: PlannedTable, style: ColumnStyle, *, compact: bool) -> bytes:
    """The header row, if there is one, placed where the table starts."""
    if not sheet.header:
        return b""
    row = b"<row>" if compact else b'<row r="%d">' % sheet.start_row
    cells = [row]
    for column, letter in zip(part.columns, letters(len(part.columns)), strict=True):
        reference = b"" if compact else b' r="%b%d"' % (letter, sheet.start_row)
        tail = (
            text_tail(column.name, style=style.cell, quoted_style=style.quoted) if column.name else style.cell + b"/>"
        )
        cells.append(b"<c" + reference + tail)
    return b"".join(cells) + b"</row>"


def file_blocks(batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
    """Yield the file's bytes; the contract is that of ``writer.write``."""
    tables = plan.tables
    check_rows_fit([part.rows for part in tables], [part.name for part in tables], plan.options, plan.limits)
    workbooks = plan_workbooks(plan)
    extra_sheets = sum(len(sheets) - len({sheet.table for sheet in sheets}) for sheets in workbooks)
    if extra_sheets:
        tally.warnings[Warned.SHEET_SPLIT] += extra_sheets
    if len(workbooks) > 1:
        tally.warnings[Warned.WORKBOOK_SPLIT] += len(workbooks) - 1
    feed = SheetFeed(batches, plan, tally)
    if len(workbooks) == 1:
        yield from _workbook(feed, plan, workbooks[0], about=about_sheet(plan, workbooks[0], number=1, of=1))
    else:
        yield from archive(_numbered(feed, plan, workbooks), plan, stored=True)


def _workbook(
    feed: SheetFeed, plan: FilePlan, sheets: Sequence[Worksheet], *, about: AboutSheet | None, folder: str = ""
) -> Iterator[bytes]:
    indexed = needs_index(plan, sheets, alone=not folder)
    return archive(workbook_members(feed, plan, sheets, indexed=indexed, about=about), plan, folder=folder)


def _numbered(feed: SheetFeed, plan: FilePlan, workbooks: Sequence[Sequence[Worksheet]]) -> Iterator[Member]:
    """The workbooks, numbered so that they sort in the order of their rows; their names are no longer than any."""
    digits = len(str(len(workbooks)))
    stem = cut_stem(plan.stem, plan.limits.filename_bytes_max - len("-.xlsx") - digits)
    for number, sheets in enumerate(workbooks, 1):
        name = f"{stem}-{number:0{digits}}.xlsx"
        about = about_sheet(plan, sheets, number=number, of=len(workbooks))
        yield Member(name, _workbook(feed, plan, sheets, about=about, folder=f"{name}/"))
