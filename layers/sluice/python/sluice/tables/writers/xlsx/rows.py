"""Rows of a worksheet from rendered columns, with no Python code per row or per cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from sluice.tables.writers.xlsx.cells import RenderedColumn

Slot: TypeAlias = bytes | Sequence[bytes]
"""One piece of every row: the same for all rows, or one for each."""

_CELLS_OF_BLOCK = 20_000
_BLOCKS = (1_000, 100)
_CELLS_AT_ONCE = 10_000
"""A block with more would be copied several times on its way."""
_WIDE_COLUMNS = 200
"""From here on a block would have few rows, and rows are put together one by one."""

_NUMBER = b"\x01"
"""Stands for the row's number; escaped text never holds this character."""


class RowAssembler:
    """Puts the cells of rendered columns between their references.

    Row numbers are written in two parts: the leading digits are the same for
    every row of a block of 1,000 or 100 rows, the trailing digits, with what
    follows a reference, are made once and used for every block. A row of a
    wide table is a block of its own.
    """

    def __init__(self, letters: Sequence[bytes], *, compact: bool) -> None:
        self._letters = letters
        self._compact = compact
        self._block_rows = next((rows for rows in _BLOCKS if rows * len(letters) <= _CELLS_OF_BLOCK), _BLOCKS[-1])
        self._rows_at_once = max(1, _CELLS_AT_ONCE // len(letters))
        self._endings: dict[tuple[bytes, bool], list[bytes]] = {}
        """By what follows: a column's own opening, or one of three that all columns share. Less than six megabytes."""

    def rows(self, columns: Iterable[RenderedColumn], count: int, first_number: int) -> Iterator[bytes]:
        """Yield ``count`` rows, the first numbered ``first_number``, in a few blocks; a row alone cell by cell."""
        if count == 1:
            yield from self._cells(columns, first_number)
            return
        columns = list(columns)
        if self._compact:
            yield _interleaved(list(_compact_slots(columns)), count)
        elif len(columns) >= _WIDE_COLUMNS:
            yield from self._row_by_row(columns, first_number)
        else:
            yield from self._blocks(columns, count, first_number)

    def _blocks(self, columns: Sequence[RenderedColumn], count: int, first_number: int) -> Iterator[bytes]:
        done = 0
        while done < count:
            high, low = divmod(first_number + done, self._block_rows)
            rows = min(self._block_rows - low, count - done, self._rows_at_once)
            yield _interleaved(list(self._slots(columns, range(done, done + rows), high=high, low=low)), rows)
            done += rows

    def _slots(self, columns: Sequence[RenderedColumn], rows: range, *, high: int, low: int) -> Iterator[Slot]:
        leading = b"%d" % high if high else b""
        yield b'<row r="' + leading
        yield self._ending(b">", padded=high > 0)[low : low + len(rows)]
        before = b""
        for letter, column in zip(self._letters, columns, strict=True):
            yield b'%b<c r="%b%b' % (before, letter, leading)
            yield self._ending(column.opening, padded=high > 0)[low : low + len(rows)]
            values = column.values
            yield values if len(values) == len(rows) else values[rows.start : rows.stop]
            before = column.closing
        yield before + b"</row>"

    def _ending(self, after: bytes, *, padded: bool) -> list[bytes]:
        """The trailing part of every row number of a block, the quote that ends a reference, and ``after``."""
        key = (after, padded)
        ready = self._endings.get(key)
        if ready is not None:
            return ready
        digits = len(str(self._block_rows)) - 1 if padded else 0
        self._endings[key] = made = [b'%0*d"%b' % (digits, low, after) for low in range(self._block_rows)]
        return made

    def _row_by_row(self, columns: Sequence[RenderedColumn], first_number: int) -> Iterator[bytes]:
        fragments: list[bytes] = []
        before = b""
        for letter, column in zip(self._letters, columns, strict=True):
            fragments.append(b'%b<c r="%b%b"%b' % (before, letter, _NUMBER, column.opening))
            before = column.closing
        values = zip(*(column.values for column in columns), strict=True)
        for number, row in enumerate(values, first_number):
            digits = b"%d" % number
            cells = b"".join(chain.from_iterable(zip(fragments, row, strict=True))).replace(_NUMBER, digits)
            yield b'<row r="%b">%b%b</row>' % (digits, cells, before)

    def _cells(self, columns: Iterable[RenderedColumn], number: int) -> Iterator[bytes]:
        """One row. One of its cells at a time is in memory, never the whole row."""
        digits = b"%d" % number
        yield b"<row>" if self._compact else b'<row r="%b">' % digits
        for letters, column in zip(self._letters, columns, strict=True):
            reference = b"" if self._compact else b' r="%b%b"' % (letters, digits)
            yield b"<c%b%b%b%b" % (reference, column.opening, column.values[0], column.closing)
        yield b"</row>"


def _compact_slots(columns: Sequence[RenderedColumn]) -> Iterator[Slot]:
    before = b"<row>"
    for column in columns:
        yield before + b"<c" + column.opening
        yield column.values
        before = column.closing
    yield before + b"</row>"


def _interleaved(slots: Sequence[Slot], rows: int) -> bytes:
    """Every row's pieces in turn, by one assignment for each slot: half the time of going through tuples of a row."""
    pieces = [slot if isinstance(slot, bytes) else b"" for slot in slots] * rows
    for index, slot in enumerate(slots):
        if not isinstance(slot, bytes):
            pieces[index :: len(slots)] = slot
    return b"".join(pieces)
