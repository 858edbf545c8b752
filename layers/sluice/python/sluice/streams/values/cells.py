"""Work on whole columns: cutting a batch into slices that stay in the cache, and finding the cell that is odd."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sluice.domain.batch import SEPARATOR, Batch, Cells

SLICE_ROWS = 1_000
"""Rows of a slice; larger slices leave the processor's cache and are slower."""
SLICE_CHARS = 256 * 1024
"""Characters of a slice; bounds what rendering holds, whatever the size of the batch."""


def slices(batch: Batch, *, rows_max: int = SLICE_ROWS, chars_max: int = SLICE_CHARS) -> Iterator[Batch]:
    """Cut ``batch`` into batches of at most ``rows_max`` rows and about ``chars_max`` characters, in order.

    A slice has at least one row, so one huge row is one slice.
    """
    chars = sum(_chars(cells) for cells in batch.columns)
    rows = max(1, min(rows_max, batch.rows * chars_max // max(chars, 1)))
    if batch.rows <= rows:
        yield batch
        return
    columns = [_pieces(cells, rows) for cells in batch.columns]
    for first in range(0, batch.rows, rows):
        yield Batch(min(rows, batch.rows - first), tuple(next(pieces) for pieces in columns))


def _chars(cells: Cells) -> int:
    if isinstance(cells.text, str):
        return len(cells.text)
    return sum(map(len, cells.text))


def _pieces(cells: Cells, rows: int) -> Iterator[Cells]:
    """The cells of one column, ``rows`` at a time."""
    texts = _joined_pieces(cells.text, rows) if isinstance(cells.text, str) else _listed_pieces(cells.text, rows)
    for number, text in enumerate(texts):
        nulls = cells.nulls[number * rows : (number + 1) * rows]
        yield Cells(text, nulls if 1 in nulls else b"")


def _joined_pieces(text: str, rows: int) -> Iterator[str]:
    rest = text
    while rest is not None:
        parts = rest.split(SEPARATOR, rows)
        rest = parts.pop() if len(parts) > rows else None  # type: ignore[assignment]  # None ends the loop
        yield SEPARATOR.join(parts)


def _listed_pieces(texts: list[str], rows: int) -> Iterator[str | list[str]]:
    for first in range(0, len(texts), rows):
        yield Cells.of(texts[first : first + rows]).text


def first_index(texts: list[str], is_odd: Callable[[str], bool]) -> int | None:
    """The index of the first text that is odd."""
    return next((index for index, text in enumerate(texts) if is_odd(text)), None)
