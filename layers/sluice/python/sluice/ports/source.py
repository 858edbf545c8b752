"""Where rows are read from, in an order that can be taken up again behind any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from sluice.domain.pulled import Cursor
from sluice.domain.schema import ColumnType

COUNT_S = 10
"""How long rows are counted: a caller waits, and a thread with it."""


class SourceError(Exception):
    """A source cannot be read as it is defined. Its text is for an operator, and quotes no value of a row."""


class SourceUnavailable(SourceError):
    """A source cannot be read now: it does not answer, or broke off. Trying again may help."""


class SourceTooSlow(SourceUnavailable):
    """A statement took longer than the connection lets one take, and may each time."""


class ConditionError(SourceError):
    """What a column is to be compared with is no value of its type."""

    def __init__(self, column: str, expected: str, *, field: str = "", index: int = 0) -> None:
        """``field`` and ``index`` say where the value stands, from 0 on; empty where no caller gave it."""
        super().__init__(f"{column} is compared with {expected}")
        self.column = column
        self.expected = expected
        self.field = field
        self.index = index


class SourceColumn(NamedTuple):
    """A column as the source describes it."""

    name: str
    kind: ColumnType
    """What its values are, as they are read: ``Slice`` says how they are written."""
    type: str
    """As the source itself calls it; empty where it has no word for it."""
    is_nullable: bool
    """Whether a row may have no value in it."""


class Slice(NamedTuple):
    """Some rows one after the other."""

    columns: Sequence[Sequence[str | None]]
    """The texts of each column, ``rows`` of them, as the source writes its values; bytes are base64, null is None."""
    rows: int
    """At least one."""
    cursor: Cursor
    """Behind the last of them."""


class Slices(Iterator[Slice]):
    """The rows of one reading."""

    def __init__(self, read_at: float, slices: Iterator[Slice]) -> None:
        self.read_at = read_at
        """When rows were as they are read, by the clock of the source, in Unix seconds; where they are of several
        moments, the first."""
        self._slices = slices

    def __iter__(self) -> Slices:
        return self

    def __next__(self) -> Slice:
        return next(self._slices)


class Source(Protocol):
    """A table, or those of its rows that fit all of some conditions."""

    def count(self, limit: int) -> int:
        """How many rows there are, at most ``limit``; no more are looked at.

        Raises ``SourceError``; ``SourceUnavailable`` also where it takes longer than ``COUNT_S``.
        """

    def describe(self) -> tuple[SourceColumn, ...]:
        """The columns that are read, in their order; all columns, in that of the table, where none is named.

        Raises ``SourceError``, also for a table that is not as it is defined.
        """

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        """The last keys of about equal ranges of all rows that are there, at most ``splits`` of ``rows_min`` or more.

        The last one is that of the last row. It takes as long as to look at each key. Raises as ``reading``.
        """

    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> AbstractContextManager[Slices]:
        """Read the rows behind ``after``, up to ``until`` itself, in the order of the key, each once.

        Memory is one slice.
        Calls come one after the other, from any thread. A source that does not answer is given up by itself.
        Raises ``SourceError``: for a table that is not as it is defined before the first row, and while rows are read.
        """

    def interrupt(self) -> None:
        """End what is under way, from any thread: it raises ``SourceUnavailable`` soon, as all does that begins later.

        A server's session ends as well, whatever it waits for. Returns within seconds; to repeat it is harmless.
        """
