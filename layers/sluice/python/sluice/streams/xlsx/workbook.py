"""A table as a workbook: the skeleton's parts, and between them the rows as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sluice.domain.batch import Batch
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.table import Table, Tally, Warned
from sluice.streams.values.cells import slices
from sluice.streams.xlsx.bounds import package_bytes_max, sheet_bytes_max
from sluice.streams.xlsx.columns import ColumnStyle, RenderedColumn, Renderer, column_renderer
from sluice.streams.xlsx.package import Member, archive
from sluice.streams.xlsx.rows import RowAssembler
from sluice.streams.xlsx.sheets import Sheet, plan_sheets
from sluice.streams.xlsx.skeleton import Skeleton, build_skeleton, letters
from sluice.streams.xlsx.text import text_tail
from sluice.streams.xlsx.widths import column_widths, look_ahead


class _Slice(NamedTuple):
    """Some rows, rendered."""

    rows: int
    columns: Iterable[RenderedColumn]
    """To be read once."""

    def split(self, rows: int) -> tuple[_Slice, _Slice]:
        """The first ``rows`` rows, and the others."""
        columns = list(self.columns)
        head = [column._replace(pieces=tuple(piece[:rows] for piece in column.pieces)) for column in columns]
        tail = [column._replace(pieces=tuple(piece[rows:] for piece in column.pieces)) for column in columns]
        return _Slice(rows, head), _Slice(self.rows - rows, tail)


class _RowFeed:
    """Hands the rendered rows to one worksheet after the other; counts them."""

    def __init__(self, rendered: Iterator[_Slice], table: Table, tally: Tally) -> None:
        self._rendered = rendered
        self._table = table
        self._tally = tally
        self._left: _Slice | None = None

    def take(self, rows: int) -> Iterator[_Slice]:
        """Yield the next ``rows`` rows. Raises ROW_COUNT_MISMATCH when there are fewer."""
        while rows:
            piece = self._left or next(self._rendered, None)
            self._left = None
            if piece is None:
                raise self._mismatch()
            if piece.rows > rows:
                piece, self._left = piece.split(rows)
            rows -= piece.rows
            self._tally.rows += piece.rows
            yield piece

    def check_end(self) -> None:
        """Raise ROW_COUNT_MISMATCH when all rows of the table were taken and there are more."""
        if self._tally.rows == self._table.rows and (self._left or next(self._rendered, None)):
            raise self._mismatch()

    def _mismatch(self) -> SluiceError:
        written, expected = self._tally.rows, self._table.rows
        return SluiceError(ErrorCode.ROW_COUNT_MISMATCH, rows_written=written, rows_expected=expected)


def workbook_blocks(batches: Iterable[Batch], table: Table, tally: Tally) -> Iterator[bytes]:
    """Yield the workbook's bytes; the contract is that of ``xlsx_writer.write``."""
    sheets = plan_sheets(table.rows, table.options, table.limits)
    if len(sheets) > 1:
        tally.warnings[Warned.SHEET_SPLIT] += len(sheets) - 1
    texts, batches = look_ahead(batches, len(table.columns))
    widths = column_widths(table.columns, texts)
    del texts
    skeleton = build_skeleton(table, sheets, widths)
    styles = zip(table.columns, skeleton.columns, strict=True)
    renderers = [column_renderer(column, style, table, tally) for column, style in styles]
    feed = _RowFeed(_render(batches, renderers), table, tally)
    yield from archive(
        _members(skeleton, sheets, table, feed),
        created_at=table.created_at,
        small=table.options.compression_enabled,
    )


def _render(batches: Iterable[Batch], renderers: list[Renderer]) -> Iterator[_Slice]:
    first_row = 0
    for parts in map(slices, batches):  # no name is bound to a batch, so none outlives its slices
        for part in parts:
            if part.rows:
                columns = _rendered(renderers, part, first_row)
                # One row may be as large as a batch: its cells are rendered as they are written.
                piece = _Slice(part.rows, columns if part.rows == 1 else list(columns))
                first_row += part.rows
                del part, columns
                yield piece
                del piece


def _rendered(renderers: list[Renderer], part: Batch, first_row: int) -> Iterator[RenderedColumn]:
    return (render(cells, part.rows, first_row) for render, cells in zip(renderers, part.columns, strict=True))


def _members(skeleton: Skeleton, sheets: list[Sheet], table: Table, feed: _RowFeed) -> Iterator[Member]:
    bound = package_bytes_max(table)
    for name, content in skeleton.parts:
        yield Member(name, [content], bound)
        bound = 0  # that of all parts is counted with the first
    assembler = RowAssembler(letters(len(table.columns)), compact=table.options.compact)
    for sheet, (name, before, after) in zip(sheets, skeleton.sheets, strict=True):
        blocks = _sheet_blocks(sheet, feed, assembler, _first_rows(sheet, table, skeleton.header))
        yield Member(name, _between(before, blocks, after), sheet_bytes_max(table, sheet))


def _between(before: bytes, blocks: Iterator[bytes], after: bytes) -> Iterator[bytes]:
    yield before
    yield from blocks
    yield after


def _sheet_blocks(sheet: Sheet, feed: _RowFeed, assembler: RowAssembler, first_rows: bytes) -> Iterator[bytes]:
    yield first_rows
    number = sheet.first_data_row
    for piece in feed.take(sheet.rows):
        rows, columns = piece
        del piece
        yield from assembler.rows(columns, rows, number)
        number += rows
        del columns
    feed.check_end()


def _first_rows(sheet: Sheet, table: Table, style: ColumnStyle) -> bytes:
    """The header row, if there is one, placed where the table starts."""
    compact = table.options.compact
    place = b'<row r="%d"></row>' % (sheet.start_row - 1) if compact and sheet.start_row > 1 else b""
    if not sheet.header:
        return place
    row = b"<row>" if compact else b'<row r="%d">' % sheet.start_row
    cells = [row]
    for column, letter in zip(table.columns, letters(len(table.columns)), strict=True):
        reference = b"" if compact else b' r="%b%d"' % (letter, sheet.start_row)
        tail = (
            text_tail(column.name, style=style.cell, quoted_style=style.quoted) if column.name else style.cell + b"/>"
        )
        cells.append(b"<c" + reference + tail)
    return place + b"".join(cells) + b"</row>"
