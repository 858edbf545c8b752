"""The rows of one call, kept as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress

import msgspec

SEPARATOR = "\0"


class Cells:
    """The values of one column of a batch, top to bottom; never changed.

    ``text`` is all cells joined by NUL, which lets a whole column be checked
    or escaped by one call; it is a list of cells only when a cell itself
    contains a NUL. ``nulls`` has one byte per row, 1 where the cell is null
    (its text is then empty), or is empty when no cell is null.
    The form is canonical: equal cells have equal ``text`` and ``nulls``.
    Cells read from a store are kept as ``data``, UTF-8 that is decoded when
    ``text`` is first read.
    """

    __slots__ = ("_data", "_text", "nulls")

    def __init__(self, text: str | list[str], nulls: bytes = b"") -> None:
        self._text: str | list[str] | None = text
        self._data: bytes | None = None
        self.nulls = nulls

    @classmethod
    def stored(cls, data: bytes, nulls: bytes = b"") -> Cells:
        """Hold NUL-joined cells as UTF-8, which is not checked."""
        cells = cls("", nulls)
        cells._text, cells._data = None, data
        return cells

    @property
    def text(self) -> str | list[str]:
        if self._text is None:
            assert self._data is not None
            self._text = self._data.decode()
        return self._text

    @property
    def data(self) -> bytes:
        """The joined cells as UTF-8. Raises ``UnicodeEncodeError`` for a lone surrogate, TypeError if ``has_nul``."""
        if self._data is None:
            if not isinstance(self._text, str):
                raise TypeError("cells with a NUL are not joined")
            return self._text.encode()
        return self._data

    @property
    def joined(self) -> str | bytes | list[str]:
        """``data`` or ``text``, whichever is at hand."""
        return self.text if self._data is None else self._data

    @property
    def has_nul(self) -> bool:
        """Whether a cell has a NUL, and ``text`` is a list."""
        return self._data is None and isinstance(self._text, list)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cells) and (self.text, self.nulls) == (other.text, other.nulls)

    __hash__ = None  # type: ignore[assignment]  # a list may be in it

    def __repr__(self) -> str:
        return f"Cells({self.text!r}, {self.nulls!r})"

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Cells:
        """Hold ``values``; None is null, which is not the empty string."""
        if None not in values:
            return cls.of_texts(values)  # type: ignore[arg-type]  # no None is in it
        nulls = bytes(value is None for value in values)
        return cls(cls.of_texts([value or "" for value in values]).text, nulls)

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Cells:
        """Hold ``texts``, of which none is null."""
        joined = SEPARATOR.join(texts)
        if joined.count(SEPARATOR) == max(len(texts) - 1, 0):
            return cls(joined)
        return cls(list(texts))

    def texts(self, rows: int) -> list[str]:
        """The cells' texts, null as the empty string. ``rows`` is the batch's row count."""
        if isinstance(self.text, list):
            return list(self.text)
        return self.text.split(SEPARATOR) if rows else []

    def null_rows(self) -> Iterable[int]:
        """Indexes of the rows whose cell is null, ascending."""
        return compress(range(len(self.nulls)), self.nulls)


class Batch(msgspec.Struct, frozen=True):
    """A rectangle of cells: every column has ``rows`` cells."""

    rows: int
    columns: tuple[Cells, ...]

    @classmethod
    def of_columns(cls, columns: Sequence[Sequence[str | None]], rows: int) -> Batch:
        """Hold ``columns``, each a sequence of ``rows`` values."""
        return cls(rows, tuple(Cells.of(values) for values in columns))

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[str | None]], width: int) -> Batch:
        """Hold ``rows``, each a sequence of ``width`` values."""
        columns = list(zip(*rows, strict=True)) or [()] * width
        return cls.of_columns(columns, len(rows))

    def to_columns(self) -> list[list[str | None]]:
        """The values column by column."""
        columns: list[list[str | None]] = []
        for cells in self.columns:
            values: list[str | None] = [*cells.texts(self.rows)]
            for row in cells.null_rows():
                values[row] = None
            columns.append(values)
        return columns

    def to_rows(self) -> list[tuple[str | None, ...]]:
        """The values row by row; for tests and small tables, not for the hot path."""
        return list(zip(*self.to_columns(), strict=True))


def is_text(text: str) -> bool:
    """Whether ``text`` is free of lone surrogates, which no encoding can write."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
