"""Cuts the rows of a table into batches: always at the same rows, whatever they came from and however they came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB, Limits
from sluice.tables.batch import Batch
from sluice.tables.readers.records import RowShape, cell_text

CELL_BYTES = 2
"""What a cell weighs besides its text: about what it costs in a chunk, null or not."""
TOO_LARGE = "One row is larger than a batch may be."
_GROWTH = ((4_000, 1_000, 256 * KIB), (7_000, 4_000, 1_024 * KIB), (10_000, 33_000, 3_072 * KIB))
"""Up to which sequence, rows, weight. Small batches first; then larger, for 100 million rows to fit into 10,000."""


class Hints(NamedTuple):
    """What a caller can do about a refusal, in the terms of the interface that it uses."""

    no_header: str = "the reader takes a table without such a line"
    names: str = "the names of the columns are needed"
    encoding: str = ""
    kind: str = "another reader takes it"
    delimiter: str = ""


class TableBatch(NamedTuple):
    """One of the batches of a table that is read from front to end."""

    batch: Batch
    sheet: int = 0
    """Index of the declared table that the rows belong to."""
    lines: Sequence[int] = ()
    """Of text in lines, the number of the line where each row begins, from 1."""

    @contextmanager
    def located(self, rows_before: int = 0) -> Iterator[None]:
        """Add to an error that names a row of the batch its ``line``, and count its ``row`` from the table's first."""
        with located(self.lines, rows_before):
            yield


class TableReader(Protocol):
    """A table in one of the ways to write it. It is read once, from front to end, with one batch in memory.

    Errors about a row have the facts ``row`` (from 1, of the table), ``line``
    where there are lines, and ``column`` where there is one.
    """

    def read_names(self) -> tuple[str, ...]:
        """What the input calls its columns. Raises INVALID_REQUEST, with ``field``, if it does not say."""

    def batches(self, shape: RowShape) -> Iterator[TableBatch]:
        """Check the header, if there is one; then yield the rows in the batches of ``batch_size``."""

    def batch(self, shape: RowShape) -> TableBatch:
        """Read all rows as one batch. Raises BATCH_TOO_LARGE if they are more than ``shape.rows_max``."""


class ReadRows(NamedTuple):
    """Rows one after the other, as a reader has found them."""

    rows: list[Any]
    """Each a sequence of cells."""
    lines: Sequence[int]
    bytes: int
    """The texts of all cells have at most so many bytes of UTF-8."""


ToBatch = Callable[[Sequence[Sequence[Any]], RowShape], Batch]


class BatchSize(NamedTuple):
    """When a batch is full: at so many rows, or at this weight. No second row takes it beyond ``weight_max``."""

    rows: int
    weight: int
    weight_max: int


def batch_size(sequence: int, limits: Limits) -> BatchSize:
    """The size of batch ``sequence``; depends on nothing else, so that a table sent again gives the same batches."""
    _, rows, weight = next((step for step in _GROWTH if sequence <= step[0]), _GROWTH[-1])
    weight_max = limits.batch_bytes_max * 3 // 4
    return BatchSize(min(rows, limits.batch_rows_max), min(weight, weight_max), weight_max)


def cut_batches(groups: Iterable[ReadRows], shape: RowShape, limits: Limits, to_batch: ToBatch) -> Iterator[TableBatch]:
    """Cut rows at places that depend on their cells alone. Every batch is yielded as soon as its last row is there.

    What ``groups`` raises passes through, after the batches that were full before.
    """
    pending = _Pending(shape)
    size = batch_size(1, limits)
    sequence, rows_before = 1, 0
    for group in groups:
        pending.add(group)
        while end := pending.find_end(size):
            yield pending.take(end, to_batch, rows_before)
            sequence, rows_before = sequence + 1, rows_before + end
            size = batch_size(sequence, limits)
    if pending.rows:
        yield pending.take(len(pending.rows), to_batch, rows_before)


def one_batch(groups: Iterable[ReadRows], shape: RowShape, to_batch: ToBatch) -> TableBatch:
    """Make one batch of all rows.

    Raises BATCH_TOO_LARGE as soon as the rows or cells are more than ``shape`` allows, and
    ROW_WIDTH_MISMATCH as soon as a row is not as wide as the table: no more is read then.
    """
    rows: list[Any] = []
    lines: list[int] = []
    cells = 0
    for group in groups:
        rows += group.rows
        lines += group.lines
        if len(rows) > shape.rows_max:
            raise SluiceError(ErrorCode.BATCH_TOO_LARGE, batch_rows_max=shape.rows_max)
        cells += sum(map(len, group.rows))
        if cells != shape.width * len(rows):
            break  # what is made of them names the row that is wrong
        shape.check_cells(cells)
    with located(lines):
        return TableBatch(to_batch(rows, shape), shape.sheet, lines)


def row_weight(row: Sequence[Any], null: str | None) -> int:
    """How much a row counts in a batch: the UTF-8 bytes of its cells, and ``CELL_BYTES`` for each, null or not."""
    try:
        text = "".join(row)
    except TypeError:
        text = "".join(cell_text(cell) or "" for cell in row)
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if null:
        size -= row.count(null) * len(null.encode("utf-8", "surrogatepass"))
    return size + CELL_BYTES * len(row)


@contextmanager
def located(lines: Sequence[int], rows_before: int = 0) -> Iterator[None]:
    """Complete the place in an error that names a row, from 1 within the rows that begin in ``lines``."""
    try:
        yield
    except SluiceError as error:
        row = error.facts.get("row")
        if isinstance(row, int):
            line = {"line": lines[row - 1]} if 0 < row <= len(lines) else {}
            error.facts = {**error.facts, "row": row + rows_before, **line}
        raise


class _Pending:
    """Rows that are in no batch yet.

    To weigh a row costs about as much as to read it, and most batches are full
    by their rows. So rows are weighed only where a bound of their weight, which
    readers know without looking at cells, says that it may matter.
    """

    def __init__(self, shape: RowShape) -> None:
        self.rows: list[Any] = []
        self._shape = shape
        self._lines: list[int] = []
        self._weights: list[int] = []
        """Of the first rows."""
        self._bound = 0
        """Of the weight of all rows."""
        self._bounds: list[tuple[int, int]] = []
        """Of the other rows: how many, and what they weigh at most."""

    def add(self, group: ReadRows) -> None:
        self.rows += group.rows
        self._lines += group.lines
        bound = group.bytes + CELL_BYTES * sum(map(len, group.rows))
        self._bounds.append((len(group.rows), bound))
        self._bound += bound

    def find_end(self, size: BatchSize) -> int:
        """How many rows the next batch has; 0 while that is not known."""
        if self._bound < size.weight:
            return size.rows if len(self.rows) >= size.rows else 0
        null = self._shape.null_value
        self._weights += [row_weight(row, null) for row in self.rows[len(self._weights) :]]
        self._bounds.clear()
        self._bound = sum(self._weights)
        weight = 0
        for place, row in enumerate(self._weights):
            if place and (place == size.rows or weight >= size.weight or weight + row > size.weight_max):
                return place
            weight += row
        return len(self.rows) if weight >= size.weight or len(self.rows) >= size.rows else 0

    def take(self, end: int, to_batch: ToBatch, rows_before: int) -> TableBatch:
        """Make a batch of the first ``end`` rows."""
        rows, lines = self.rows[:end], self._lines[:end]
        del self.rows[:end], self._lines[:end]
        self._forget(end)
        with located(lines, rows_before):
            return TableBatch(to_batch(rows, self._shape), self._shape.sheet, lines)

    def _forget(self, rows: int) -> None:
        """Drop the weights of the first rows; a group that is not used up keeps its bound."""
        weighed = len(self._weights)
        self._bound -= sum(self._weights[:rows])
        del self._weights[:rows]
        rows -= weighed
        while rows > 0 and self._bounds:
            count, bound = self._bounds.pop(0)
            if count > rows:
                self._bounds.insert(0, (count - rows, bound))
            else:
                self._bound -= bound
            rows -= count
