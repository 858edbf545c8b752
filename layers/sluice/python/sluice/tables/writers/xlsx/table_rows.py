"""The rows of one table of a file: taken off the stream of batches, rendered, handed to its worksheets in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, PlannedTable, Tally
from sluice.tables.values.cells import slices
from sluice.tables.writers.sealed_rows import row_count_error
from sluice.tables.writers.xlsx.columns import ColumnStyle, RenderedColumn, Renderer, column_renderer
from sluice.tables.writers.xlsx.widths import column_widths, look_ahead


class RenderedRows(NamedTuple):
    """Some rows, rendered."""

    rows: int
    columns: Iterable[RenderedColumn]
    """To be read once."""

    def split(self, rows: int) -> tuple[RenderedRows, RenderedRows]:
        """The first ``rows`` rows, and the others."""
        columns = list(self.columns)
        head = [column._replace(pieces=tuple(piece[:rows] for piece in column.pieces)) for column in columns]
        tail = [column._replace(pieces=tuple(piece[rows:] for piece in column.pieces)) for column in columns]
        return RenderedRows(rows, head), RenderedRows(self.rows - rows, tail)


class TableRows:
    """Renders the next table of ``batches``. Reads those that tell the widths of its columns at once."""

    def __init__(
        self,
        batches: Iterator[Batch],
        part: PlannedTable,
        styles: Sequence[ColumnStyle],
        *,
        table: FilePlan,
        tally: Tally,
    ) -> None:
        texts, taken = look_ahead(_UpToTheLast(batches, part, table=table, tally=tally), len(part.columns))
        self.widths = column_widths(part.columns, texts)
        columns = zip(part.columns, styles, strict=True)
        self._rendered = _render(taken, [column_renderer(column, style, table, tally) for column, style in columns])
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

    def __init__(self, batches: Iterator[Batch], part: PlannedTable, *, table: FilePlan, tally: Tally) -> None:
        self._batches = batches
        self._table = table
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
                raise row_count_error(self._tally.rows, self._table.rows)
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
