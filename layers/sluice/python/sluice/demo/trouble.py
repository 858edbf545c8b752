"""The order in which the demo sends batches: late, early and twice."""

from __future__ import annotations

from collections.abc import Iterator

WINDOW = 40
STRIDE = 17
"""Shares no factor with a window's length, so that striding through it meets every batch once."""
TWICE_EVERY = 25


def troubled_order(batches: int) -> Iterator[int]:
    """Yield the sequences 1 to ``batches`` out of order within a window, every 25th of them twice."""
    for first in range(0, batches, WINDOW):
        for step in range(WINDOW):
            sequence = first + step * STRIDE % WINDOW + 1
            if sequence > batches:
                continue
            yield sequence
            if sequence % TWICE_EVERY == 0:
                yield sequence
