"""Where rows are read from, in an order that can be taken up again behind any of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeAlias

Cell: TypeAlias = str | int | None
Cursor: TypeAlias = tuple[str | int | float | bytes, ...]
"""The values of the key's columns in the last row that was read."""


class SourceError(Exception):
    """A source cannot be read, now or as it is defined. Its text is for an operator, and quotes no value of a row."""


class Slice(NamedTuple):
    """Some rows one after the other."""

    rows: list[tuple[Cell, ...]]
    """At least one. A number is the text that it has, a value that is no text (a BLOB) its base64."""
    cursor: Cursor
    """Behind the last of them."""
    bytes: int
    """The texts of all cells have at most so many bytes of UTF-8."""


class Source(Protocol):
    """A table."""

    def reading(self, after: Cursor | None = None) -> AbstractContextManager[Iterator[Slice]]:
        """Read all rows behind ``after`` in the order of the key, each once; memory is one slice.

        Raises ``SourceError``: for a table that is not as it is defined before the first row, and while rows are read.
        """
