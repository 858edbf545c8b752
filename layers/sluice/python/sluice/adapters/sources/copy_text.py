"""Takes rows of PostgreSQL's COPY in text format apart, a block at a time, without a step for each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.domain.limits import MIB

SLICE_ROWS = 8_000
SLICE_BYTES = 2 * MIB
"""A slice ends with the block that reaches this size."""
_CELL_ENDS = "\0"
"""In no text of PostgreSQL."""
_TO_CELLS = bytes.maketrans(b"\n\t\xff\xfe", b"\0\0\xfd\xfd")
"""Ends of rows and cells; and bytes that are in no UTF-8 are left to be ours, others of them standing for them."""
_BACKSLASH, _NULL_MARK = b"\xff", b"\xfe"
"""For a backslash itself while others are replaced, and for null."""
_ESCAPES = ((b"\\b", b"\b"), (b"\\f", b"\f"), (b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\t", b"\t"), (b"\\v", b"\v"))
_NULL = _NULL_MARK.decode("utf-8", "surrogateescape")
_NULLS: dict[str, None] = {_NULL: None}


def cells_of(block: bytes) -> list[str]:
    """The cells of whole rows, one row after the other, to be read by ``column_of``.

    Bytes that are no UTF-8 become halves of characters, which no cell may have. All that is replaced is replaced in
    bytes: of a text with characters of other scripts each takes two or four.
    """
    block = block[:-1].translate(_TO_CELLS)
    if b"\\" in block:
        block = block.replace(b"\\\\", _BACKSLASH).replace(b"\\N", _NULL_MARK)
        if b"\\" in block:
            for escaped, character in _ESCAPES:
                block = block.replace(escaped, character)
        block = block.replace(_BACKSLASH, b"\\")
    return block.decode("utf-8", "surrogateescape").split(_CELL_ENDS)


def column_of(cells: Sequence[str], at: int, width: int) -> Sequence[str | None]:
    """The column ``at`` of rows of ``width`` cells."""
    column = cells[at::width]
    return list(map(_NULLS.get, column, column)) if _NULL in column else column


class RowCutter:
    """Cuts blocks, which end anywhere, into runs of whole rows of ``width`` cells; it keeps less than one run."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._unfinished = b""
        self._cells: list[str] = []
        self._bytes = 0

    def add(self, block: bytes) -> Iterator[Sequence[str]]:
        """The cells of each run that is complete with this block. All are to be taken before the next block."""
        block = self._unfinished + block if self._unfinished else block
        end = block.rfind(b"\n") + 1
        self._unfinished = block[end:]
        if not end:
            return
        self._cells += cells_of(block[:end])
        self._bytes += end
        most = SLICE_ROWS * self._width
        while len(self._cells) >= most:
            run, self._cells = self._cells[:most], self._cells[most:]
            self._bytes = self._bytes * len(self._cells) // (len(self._cells) + most)
            yield run
        if self._bytes >= SLICE_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[Sequence[str]]:
        """The last run, if there are rows left."""
        run, self._cells, self._bytes = self._cells, [], 0
        if run:
            yield run
