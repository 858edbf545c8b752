"""Column widths from the first rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.values.number_formats import number_format, shown_width, width_of, with_fraction
from sluice.tables.values.slices import slices

ROWS_SEEN = 100
"""Rows that decide the widths; few enough to wait for, enough to be typical."""
CHARS_SEEN = 1024 * 1024
"""Characters that decide the widths: the row that brings so many is the last one looked at."""
CELL_CHARS = 32
"""What a cell counts besides its characters: it takes memory though it be empty."""
WIDTH_MAX = 255
"""Characters of a column's width (Excel specifications and limits)."""
_WIDTH_LEAST = 8
_WIDTH_MOST = 50
"""An automatic width stops here; longer text is read in the cell."""
_MARGIN = 2
_FILTER_BUTTON = 2
_LINE_CHARS_SEEN = 4 * _WIDTH_MOST
_BOOLEAN_CHARS = 6
"""TRUE and FALSE, or the words that programs of other languages show; never those that were sent."""
_LINE_END = re.compile(r"[\r\n]")


def look_ahead(batches: Iterable[Batch], columns: int) -> tuple[list[list[str]], Iterator[Batch]]:
    """The texts of the first rows, column by column, and the batches again from the start.

    Reads as few batches as hold the rows looked at: 100, or fewer of more than
    1 MiB. Which they are depends on the rows alone, not on the batches they
    come in. In memory are their texts, and batches without the rows looked at but
    the last one.
    """
    source = iter(batches)
    taken: list[Batch] = []
    seen = _SeenRows(columns)
    while not seen.enough and (batch := next(source, None)) is not None:
        if batch.rows:
            taken.append(batch)
            seen.look_at(batch)
    return seen.texts, _given_back(taken, source)


class _SeenRows:
    """The texts of the first rows, until they are enough."""

    def __init__(self, columns: int) -> None:
        self.texts: list[list[str]] = [[] for _ in range(columns)]
        self._rows_left = ROWS_SEEN
        self._chars_left = CHARS_SEEN

    @property
    def enough(self) -> bool:
        return self._rows_left <= 0 or self._chars_left <= 0

    def look_at(self, batch: Batch) -> None:
        for part in slices(batch, rows_max=ROWS_SEEN):
            columns = [cells.texts(part.rows) for cells in part.columns]
            rows = self._count(columns)
            for seen, texts in zip(self.texts, columns, strict=True):
                seen.extend(texts[:rows])
            if self.enough:
                return

    def _count(self, columns: list[list[str]]) -> int:
        """How many of the rows are looked at."""
        rows = 0
        for row in zip(*columns, strict=True):
            if self.enough:
                break
            rows += 1
            self._rows_left -= 1
            self._chars_left -= sum(map(len, row)) + CELL_CHARS * len(row)
        return rows


def _given_back(taken: list[Batch], source: Iterator[Batch]) -> Iterator[Batch]:
    """All batches again, none kept longer than needed."""
    taken.reverse()
    while taken:
        yield taken.pop()
    yield from source


def column_widths(columns: Sequence[ColumnSpec], texts: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column in characters of the default font: its hint, or wide enough for ``texts``."""
    return [
        min(column.width, WIDTH_MAX) if column.width else _automatic(column, seen)
        for column, seen in zip(columns, texts, strict=True)
    ]


def has_lines(column: ColumnSpec, texts: Sequence[str]) -> bool:
    """Whether the column is as wide as the longest line of its texts, so that they have to be wrapped to be seen."""
    return column.type is ColumnType.STRING and not column.width and any(map(_LINE_END.search, texts))


def _automatic(column: ColumnSpec, texts: Sequence[str]) -> int:
    header = _display_width(column.name) + _FILTER_BUTTON
    match column.type:
        case ColumnType.BOOLEAN:
            widest = _BOOLEAN_CHARS
        case ColumnType.DATE | ColumnType.DATETIME:
            code = number_format(column)
            has_fraction = any("." in text for text in texts)
            widest = shown_width(with_fraction(code) if has_fraction else code)
        case ColumnType.NUMBER if column.format and not column.detected:
            widest = max((shown_width(column.format, text) for text in texts if text), default=0)
        case _:
            widest = max(map(_display_width, texts), default=0)
    return max(_WIDTH_LEAST, min(_WIDTH_MOST, max(header, widest) + _MARGIN))


def _display_width(text: str) -> int:
    """The width of the longest line, where an East Asian character counts twice."""
    return max((width_of(line[:_LINE_CHARS_SEEN]) for line in text[: 4 * _LINE_CHARS_SEEN].splitlines()), default=0)
