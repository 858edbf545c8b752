"""Rows of a worksheet from rendered columns, with no Python code per row or per cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from sluice.streams.xlsx.columns import RenderedColumn

Slot: TypeAlias = bytes | Sequence[bytes]
"""One piece of every row: the same for all rows, or one for each."""

_CELLS_OF_BLOCK = 20_000
_BLOCKS = (1_000, 100)
_ENDINGS_KEPT = 60_000
"""Ready endings of references are dropped beyond this number, about six megabytes."""


class RowAssembler:
    """Puts the cells of rendered columns between their references.

    Row numbers are written in two parts: the leading digits are the same for
    every row of a block of 1,000 or 100 rows, the trailing digits, with what
    follows a reference, are made once and used for every block.
    """

    def __init__(self, letters: Sequence[bytes], *, compact: bool) -> None:
        self._letters = letters
        self._compact = compact
        self._block_rows = next((rows for rows in _BLOCKS if rows * len(letters) <= _CELLS_OF_BLOCK), _BLOCKS[-1])
        self._endings: dict[tuple[bytes, bool], list[bytes]] = {}

    def rows(self, columns: Iterable[RenderedColumn], count: int, first_number: int) -> Iterator[bytes]:
        """Yield ``count`` rows, the first numbered ``first_number``, in a few blocks; a row alone cell by cell."""
        if count == 1:
            yield from self._cells(columns, first_number)
            return
        columns = list(columns)
        if self._compact:
            yield _interleaved(list(_compact_slots(columns)), count)
            return
        done = 0
        while done < count:
            high, low = divmod(first_number + done, self._block_rows)
            rows = min(self._block_rows - low, count - done)
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
            for piece in column.pieces:
                yield piece if len(piece) == len(rows) else piece[rows.start : rows.stop]
            before = column.closing
        yield before + b"</row>"

    def _ending(self, after: bytes, *, padded: bool) -> list[bytes]:
        """The trailing part of every row number of a block, the quote that ends a reference, and ``after``."""
        key = (after, padded)
        ready = self._endings.get(key)
        if ready is not None:
            return ready
        if len(self._endings) * self._block_rows >= _ENDINGS_KEPT:
            self._endings.clear()
        digits = len(str(self._block_rows)) - 1 if padded else 0
        self._endings[key] = made = [b'%0*d"%b' % (digits, low, after) for low in range(self._block_rows)]
        return made

    def _cells(self, columns: Iterable[RenderedColumn], number: int) -> Iterator[bytes]:
        """One row. Neither more than one of its cells nor the row as a whole is held."""
        digits = b"%d" % number
        yield b"<row>" if self._compact else b'<row r="%b">' % digits
        for letters, column in zip(self._letters, columns, strict=True):
            reference = b"" if self._compact else b' r="%b%b"' % (letters, digits)
            value = b"".join([piece[0] for piece in column.pieces])
            yield b"<c%b%b%b%b" % (reference, column.opening, value, column.closing)
        yield b"</row>"


def _compact_slots(columns: Sequence[RenderedColumn]) -> Iterator[Slot]:
    before = b"<row>"
    for column in columns:
        yield before + b"<c" + column.opening
        yield from column.pieces
        before = column.closing
    yield before + b"</row>"


def _interleaved(slots: Sequence[Slot], rows: int) -> bytes:
    """Every row's pieces in turn, by one assignment for each slot: half the time of going through tuples of a row."""
    pieces = [slot if isinstance(slot, bytes) else b"" for slot in slots] * rows
    for index, slot in enumerate(slots):
        if not isinstance(slot, bytes):
            pieces[index :: len(slots)] = slot
    return b"".join(pieces)
