"""A table that is a list of rows, read in slices; it fails, or its reader dies, where a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sluice.domain.pulled import Cursor
from sluice.domain.schema import ColumnType
from sluice.ports.pool import nothing
from sluice.ports.source import Slice, Slices, SourceColumn

Row = tuple[str | None, ...]


class Killed(BaseException):
    """The process that reads is killed: nothing catches it, and nothing is given back."""


class ListedSource:
    """Implements ``Source``: rows in their order, the cursor is how many came before."""

    def __init__(self, rows: Sequence[Row], *, slice_rows: int = 2) -> None:
        self.rows = list(rows)
        self.slice_rows = slice_rows
        self.fails: dict[int | str, BaseException] = {}
        """By how many slices a reading has given before, or ``plan``; each once."""
        self.moment = 0.0
        """Each reading is of the next."""
        self.given: Callable[[], object] = nothing
        """Called before each slice."""
        self.began_after: list[Cursor | None] = []
        self.counted: list[int] = []
        """The limits that were asked for."""

    def count(self, limit: int) -> int:
        self.counted.append(limit)
        return min(len(self.rows), limit)

    def describe(self) -> tuple[SourceColumn, ...]:
        """Its columns are texts without names."""
        width = len(self.rows[0]) if self.rows else 0
        return tuple(SourceColumn(str(at), ColumnType.STRING, "text", is_nullable=True) for at in range(width))

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        del rows_min  # the rows are few
        if "plan" in self.fails:
            raise self.fails.pop("plan")
        most = max(1, -(-len(self.rows) // splits))
        return tuple((min(last, len(self.rows)),) for last in range(most, len(self.rows) + most, most))

    def interrupt(self) -> None:
        """Nothing here takes its time."""

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        self.began_after.append(after)
        self.moment += 1
        end = len(self.rows) if until is None else int(until[0])
        yield Slices(self.moment, self._slices(0 if after is None else int(after[0]), end))

    def _slices(self, start: int, end: int) -> Iterator[Slice]:
        for given, first in enumerate(range(start, end + self.slice_rows, self.slice_rows)):
            if given in self.fails:
                raise self.fails.pop(given)
            part = self.rows[first : min(first + self.slice_rows, end)]
            self.given()
            if not part:
                return
            yield Slice(tuple(zip(*part, strict=True)), len(part), (first + len(part),))
