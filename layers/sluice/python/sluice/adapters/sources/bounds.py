"""Finds where the ranges of keys end that a table is read by."""

from __future__ import annotations

from collections.abc import Callable

from sluice.domain.pulled import Cursor


def find_bounds(
    rows: int, splits: int, rows_min: int, key_behind: Callable[[Cursor | None, int], Cursor]
) -> tuple[Cursor, ...]:
    """The last key of each of at most ``splits`` ranges of ``rows`` rows.

    ``key_behind`` gives the key of the row that comes so many rows behind a key, or from the first row on.
    """
    most = max(rows_min, -(-rows // splits))
    bounds: list[Cursor] = []
    for first in range(0, rows, most):
        bounds.append(key_behind(bounds[-1] if bounds else None, min(most, rows - first)))
    return tuple(bounds)
