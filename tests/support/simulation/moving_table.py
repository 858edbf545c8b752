"""A table that is read while others write to it: the source of pulled tasks in a simulation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import TypeVar

from sluice.domain.pulled import Cursor, Pulled
from sluice.ports.source import Slice, Slices, SourceColumn

T = TypeVar("T")
Gate = Callable[[str, Callable[[], T]], T]
PAGE_ROWS = 2
STILL = 7
"""Rows that no writer touches: keys 10, 20 and so on."""


class MovingTable:
    """Rows by their key. After each page a writer deletes a row, gives one another key, and adds one."""

    def __init__(self) -> None:
        self.rows = {10 * number: f"still {number}" for number in range(1, STILL + 1)}
        self.rows |= {10 * number + 5: f"moves {number}" for number in range(STILL)}
        self.pages = 0
        self.moves = True
        self.moments: dict[float, dict[int, str]] = {}
        """The rows at each moment at which a reading began."""

    def still(self) -> list[tuple[str, str]]:
        """What every export has to have, once and in this order."""
        return [(str(10 * number), f"still {number}") for number in range(1, STILL + 1)]

    def become(self, other: MovingTable) -> None:
        """Go on as another would."""
        self.rows, self.pages, self.moves = dict(other.rows), other.pages, other.moves
        self.moments.update(other.moments)

    def page(self, rows: dict[int, str], after: int, until: float) -> Slice | None:
        """The rows behind a key, up to another, at most ``PAGE_ROWS``."""
        keys = sorted(key for key in rows if key <= until)
        found = keys[bisect_right(keys, after) :][:PAGE_ROWS]
        columns = [list(map(str, found)), [rows[key] for key in found]]
        self._write()
        return Slice(columns, len(found), (found[-1],)) if found else None

    def _write(self) -> None:
        self.pages += 1
        if not self.moves:
            return
        movable = sorted(key for key in self.rows if key % 10)
        if movable:
            text = self.rows.pop(movable[self.pages % len(movable)])
            self.rows[10 * ((self.pages * 3) % (STILL + 2)) + 5] = text
        if len(movable) > 1:
            del self.rows[movable[0] if movable[0] in self.rows else movable[-1]]
        self.rows[10 * ((self.pages * 5) % (STILL + 2)) + 3] = f"new {self.pages}"


class MovingSource:
    """Implements ``Source`` over it; each page is a call that the scheduler hands on."""

    def __init__(self, table: MovingTable, pulled: Pulled, gate: Gate[object]) -> None:
        self._table, self._pulled, self._gate = table, pulled, gate

    def count(self, limit: int) -> int:
        return min(limit, len(self._table.rows))

    def describe(self) -> tuple[SourceColumn, ...]:
        raise NotImplementedError

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        del rows_min  # the rows are few
        keys = self._gate("source.plan", lambda: sorted(self._table.rows))
        assert isinstance(keys, list)
        most = -(-len(keys) // splits)
        return tuple((key,) for key in dict.fromkeys([*keys[most - 1 :: most], *keys[-1:]]))

    def interrupt(self) -> None:
        """Nothing is under way but the call that the scheduler has."""

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        """The moment is how many pages were read of the table before."""
        is_snapshot = self._pulled.consistency != "key"
        rows = dict(self._table.rows) if is_snapshot else self._table.rows
        pages = self._pages(rows, int(after[0]) if after else 0, float(until[0]) if until else inf)
        moment = 1.0 + self._table.pages
        self._table.moments[moment] = dict(self._table.rows)
        yield Slices(moment, pages)

    def _pages(self, rows: dict[int, str], after: int, until: float) -> Iterator[Slice]:
        while True:
            page = self._gate("source.read", partial(self._table.page, rows, after, until))
            if not isinstance(page, Slice):
                return
            yield page
            after = int(page.cursor[0])
