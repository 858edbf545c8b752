"""The order in which the demo sends batches: late, early and twice."""

from __future__ import annotations

import random
from collections.abc import Iterator

WINDOW = 40
TWICE_EVERY = 25


def troubled_order(batches: int) -> Iterator[int]:
    """Yield the sequences 1 to ``batches`` out of order within a window, every 25th of them twice."""
    shuffled = random.Random(1)  # noqa: S311 - the same trouble in every run
    for first in range(1, batches + 1, WINDOW):
        window = list(range(first, min(first + WINDOW, batches + 1)))
        window += [sequence for sequence in window if sequence % TWICE_EVERY == 0]
        shuffled.shuffle(window)
        yield from window
