"""Work on whole columns: cutting a batch into slices that stay in the cache, and finding the cell that is odd."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sluice.tables.batch import SEPARATOR, Batch, Cells

SLICE_ROWS = 1_000
"""Rows of a slice; larger slices leave the processor's cache and are slower."""
SLICE_CHARS = 256 * 1024
"""Characters of a slice; bounds what rendering holds, whatever the size of the batch."""
_UTF8_BYTES = 4
SLICE_CELLS = 128 * 1024
"""Cells of a slice of several rows: each is an object or two while it is rendered, be it empty."""


def slice_bytes_max(batch_bytes: int, *, growth: int) -> int:
    """Bound the UTF-8 of a slice of several rows whose characters of one byte become up to ``growth`` bytes.

    A slice of one row may have all of the batch.
    """
    return min(growth * batch_bytes, max(growth, _UTF8_BYTES) * 2 * SLICE_CHARS)


class _Rows(NamedTuple):
    """Finds so many joined cells."""

    in_text: re.Pattern[str]
    in_data: re.Pattern[bytes]

    @classmethod
    def of(cls, rows: int) -> _Rows:
        pattern = rf"(?:[^\0]*+\0){{{rows - 1}}}+[^\0]*+"
        return cls(re.compile(pattern), re.compile(pattern.encode()))


def slices(batch: Batch, *, rows_max: int = SLICE_ROWS, chars_max: int = SLICE_CHARS) -> Iterator[Batch]:
    """Cut ``batch`` into batches of at most ``rows_max`` rows and twice ``chars_max`` characters, in order.

    A slice has at least one row, so one huge row is one slice. Beside the
    batch, one slice is in memory.
    """
    chars = chars_of(batch)
    cells_max = SLICE_CELLS // max(len(batch.columns), 1)
    rows = max(1, min(rows_max, cells_max, batch.rows * chars_max // max(chars, 1)))
    if batch.rows <= rows:
        yield batch
        return
    pattern = _Rows.of(rows)
    starts = [0] * len(batch.columns)
    for first in range(0, batch.rows, rows):
        piece = _piece(batch, pattern, range(first, min(first + rows, batch.rows)), starts)
        if chars_of(piece) > 2 * chars_max:  # rows differ: these are longer than most
            yield from slices(piece, rows_max=rows_max, chars_max=chars_max)
        else:
            yield piece


def chars_of(batch: Batch) -> int:
    """The characters of all cells and of what separates them, or their bytes of UTF-8 where those are kept."""
    joined_columns = (cells.joined for cells in batch.columns)
    return sum(sum(map(len, joined)) if isinstance(joined, list) else len(joined) for joined in joined_columns)


def _piece(batch: Batch, pattern: _Rows, rows: range, starts: list[int]) -> Batch:
    """Some rows. ``starts`` has where the first of them begins in each joined column, and then where the next does.

    No column is copied but for the piece, and no cell becomes a string of its own.
    """
    columns = []
    for index, cells in enumerate(batch.columns):
        nulls = cells.nulls[rows.start : rows.stop]
        nulls = nulls if 1 in nulls else b""
        match cells.joined:
            case list() as texts:
                columns.append(Cells(Cells.of(texts[rows.start : rows.stop]).text, nulls))
            case bytes() as data:
                cut = pattern.in_data.match(data, starts[index])
                data_piece = cut[0] if cut else data[starts[index] :]
                starts[index] += len(data_piece) + len(SEPARATOR)
                columns.append(Cells.stored(data_piece, nulls))
            case text:
                found = pattern.in_text.match(text, starts[index])
                text_piece = found[0] if found else text[starts[index] :]
                starts[index] += len(text_piece) + len(SEPARATOR)
                columns.append(Cells(text_piece, nulls))
    return Batch(len(rows), tuple(columns))


class CellCheck(NamedTuple):
    """Which cells of a column are odd: by a look at all of them, and by one at each."""

    are_plain: Callable[[str], bool]
    """Whether certainly no cell of a NUL-joined column is odd: one call for all of them."""
    is_odd: Callable[[str], bool]
    """Whether one cell is."""

    def surely_accepts(self, cells: Cells) -> bool:
        """Whether no cell needs a look of its own."""
        return isinstance(cells.text, str) and self.are_plain(cells.text)

    def odd_among(self, texts: list[str]) -> set[str]:
        """Those that are odd. Each of equal texts is looked at once, and closely only if it is not plain."""
        return {text for text in set(texts) if (SEPARATOR in text or not self.are_plain(text)) and self.is_odd(text)}


def first_index(texts: list[str], is_odd: Callable[[str], bool]) -> int | None:
    """The index of the first text that is odd."""
    return next((index for index, text in enumerate(texts) if is_odd(text)), None)
