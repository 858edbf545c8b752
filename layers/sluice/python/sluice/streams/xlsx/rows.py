"""Rows of a worksheet from rendered columns, with no Python code per row or per cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat

from sluice.streams.xlsx.columns import RenderedColumn

_WIDE_COLUMNS = 200
"""From here on a row has so many cells that rows are put together one by one."""
_CELLS_OF_BLOCK = 20_000
_BLOCKS = (1_000, 100)
_FRAGMENTS_KEPT = 60_000
"""Ready fragments are dropped beyond this number, about six megabytes."""
_HIGH = b"\x01"
"""Stands for the leading digits of a row number; escaped text never holds this character."""


class RowAssembler:
    """Puts the cells of rendered columns between their references.

    Row numbers are written in two parts: the trailing digits are in fragments
    made once and used for every block of 1,000 or 100 rows, the leading digits
    are put in by one replacement per block. A row of a wide table is a block
    of its own.
    """

    def __init__(self, letters: Sequence[bytes], *, compact: bool) -> None:
        self._letters = letters
        self._compact = compact
        self._block_rows = next((rows for rows in _BLOCKS if rows * len(letters) <= _CELLS_OF_BLOCK), _BLOCKS[-1])
        digits = len(str(self._block_rows)) - 1
        self._low = [b"%0*d" % (digits, low) for low in range(self._block_rows)]
        self._low_unpadded = [b"%d" % low for low in range(self._block_rows)]
        self._fragments: dict[tuple[int, bytes, bytes, bool], list[bytes]] = {}
        self._kept = 0

    def rows(self, columns: Iterable[RenderedColumn], count: int, first_number: int) -> Iterator[bytes]:
        """Yield ``count`` rows, the first numbered ``first_number``, in a few blocks; a row alone cell by cell."""
        if count == 1:
            yield from self._cells(columns, first_number)
            return
        columns = list(columns)
        if self._compact:
            yield _join(_compact_items(columns), count)
        elif len(columns) >= _WIDE_COLUMNS:
            yield from self._row_by_row(columns, first_number)
        else:
            yield from self._blocks(columns, count, first_number)

    def _blocks(self, columns: Sequence[RenderedColumn], count: int, first_number: int) -> Iterator[bytes]:
        done = 0
        while done < count:
            high, low = divmod(first_number + done, self._block_rows)
            rows = min(self._block_rows - low, count - done)
            items = self._items(columns, range(done, done + rows), low=low, padded=high > 0)
            yield _join(items, rows).replace(_HIGH, b"%d" % high if high else b"")
            done += rows

    def _items(
        self, columns: Sequence[RenderedColumn], rows: range, *, low: int, padded: bool
    ) -> Iterator[Iterable[bytes]]:
        before = b""
        for index, column in enumerate(columns):
            yield islice(self._fragment(index, before, column.opening, padded=padded), low, None)
            for piece in column.pieces:
                yield piece if len(piece) == len(rows) else piece[rows.start : rows.stop]
            before = column.closing
        yield repeat(before + b"</row>")

    def _fragment(self, index: int, before: bytes, opening: bytes, *, padded: bool) -> list[bytes]:
        """What comes between two values, for each trailing part of a row number."""
        key = (index, before, opening, padded)
        ready = self._fragments.get(key)
        if ready is not None:
            return ready
        if self._kept >= _FRAGMENTS_KEPT:
            self._fragments.clear()
            self._kept = 0
        lows = self._low if padded else self._low_unpadded
        made = [self._start(index, before, low, opening) for low in lows]
        self._fragments[key] = made
        self._kept += len(made)
        return made

    def _row_by_row(self, columns: Sequence[RenderedColumn], first_number: int) -> Iterator[bytes]:
        fragments: list[bytes] = []
        before = b""
        for index, column in enumerate(columns):
            fragments += [self._start(index, before, b"", column.opening)] + [b""] * (len(column.pieces) - 1)
            before = column.closing
        end = before + b"</row>"
        values = zip(*(piece for column in columns for piece in column.pieces), strict=True)
        for number, row in enumerate(values, first_number):
            cells = b"".join(chain.from_iterable(zip(fragments, row, strict=True)))
            yield cells.replace(_HIGH, b"%d" % number) + end

    def _cells(self, columns: Iterable[RenderedColumn], number: int) -> Iterator[bytes]:
        """One row. Neither more than one of its cells nor the row as a whole is held."""
        digits = b"%d" % number
        yield b"<row>" if self._compact else b'<row r="%b">' % digits
        for letters, column in zip(self._letters, columns, strict=True):
            reference = b"" if self._compact else b' r="%b%b"' % (letters, digits)
            value = b"".join([piece[0] for piece in column.pieces])
            yield b"<c%b%b%b%b" % (reference, column.opening, value, column.closing)
        yield b"</row>"

    def _start(self, index: int, before: bytes, low: bytes, opening: bytes) -> bytes:
        """The end of the cell before, and a cell up to its value; ``low`` ends the row number."""
        row = b'<row r="%b%b">' % (_HIGH, low) if index == 0 else b""
        return b'%b%b<c r="%b%b%b"%b' % (before, row, self._letters[index], _HIGH, low, opening)


def _compact_items(columns: Sequence[RenderedColumn]) -> Iterator[Iterable[bytes]]:
    before = b"<row>"
    for column in columns:
        yield repeat(before + b"<c" + column.opening)
        yield from column.pieces
        before = column.closing
    yield repeat(before + b"</row>")


def _join(items: Iterator[Iterable[bytes]], rows: int) -> bytes:
    """Interleave ``items``, some endless, row by row."""
    return b"".join(chain.from_iterable(islice(zip(*items, strict=False), rows)))
