"""Finds which rows of a chunk a server refuses, by halves."""

from __future__ import annotations

from collections.abc import Callable, Container

from sluice.adapters.databases.values_refused import ValuesRefused
from sluice.adapters.sinks.losses import REFUSED_MAX
from sluice.ports.sink import RowsRefused


def rows_at_fault(
    try_rows: Callable[[int, int], None], rows: int, columns: Container[str], error: ValuesRefused
) -> RowsRefused:
    """The first rows that are refused, each behind those before it that are not; ``error`` is that of all rows.

    ``try_rows`` loads the rows from one index to another, or raises ``ValuesRefused`` and loads none.
    """
    found: list[tuple[int, ValuesRefused]] = []

    def look(start: int, end: int) -> None:
        if len(found) == REFUSED_MAX:
            return
        try:
            try_rows(start, end)
        except ValuesRefused as refused:
            if end - start == 1:
                found.append((start, refused))
                return
            middle = (start + end) // 2
            look(start, middle)
            look(middle, end)

    look(0, rows)
    first = found[0][1] if found else error
    column = first.column if first.column in columns else ""
    return RowsRefused(first.reason, rows=[row for row, _ in found], column=column)
