"""A table that is a list of rows, read in slices; it fails, or its reader dies, where a test says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sluice.domain.pulled import Cursor
from sluice.ports.source import Slice

Row = tuple[str | None, ...]


class Killed(BaseException):
    """The process that reads is killed: nothing catches it, and nothing is given back."""


class ListedSource:
    """Implements ``Source``: rows in their order, the cursor is how many came before."""

    def __init__(self, rows: Sequence[Row], *, slice_rows: int = 2) -> None:
        self.rows = list(rows)
        self.slice_rows = slice_rows
        self.fails: dict[int, BaseException] = {}
        """By how many slices a reading has given before; each once."""
        self.began_after: list[Cursor | None] = []
        self.counted: list[int] = []
        """The limits that were asked for."""

    def count(self, limit: int) -> int:
        self.counted.append(limit)
        return min(len(self.rows), limit)

    @contextmanager
    def reading(self, after: Cursor | None = None) -> Iterator[Iterator[Slice]]:
        self.began_after.append(after)
        yield self._slices(0 if after is None else int(after[0]))

    def _slices(self, start: int) -> Iterator[Slice]:
        for given, first in enumerate(range(start, len(self.rows) + self.slice_rows, self.slice_rows)):
            if given in self.fails:
                raise self.fails.pop(given)
            part = self.rows[first : first + self.slice_rows]
            if not part:
                return
            yield Slice(tuple(zip(*part, strict=True)), len(part), (first + len(part),))
