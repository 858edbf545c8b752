"""What a sender of the relay's benchmark is told, and what it tells."""

from __future__ import annotations

from typing import NamedTuple

from sluice.demo.order_table import BATCH_ROWS, order_columns

VARIETY = 8
"""Different batches, sent in turn."""


class Load(NamedTuple):
    """What one sender sends: batch ``first`` before the clock starts, then ``batches`` more."""

    address: str
    task_id: str
    face: str
    first: int
    batches: int


class Span(NamedTuple):
    """What one sender saw, by the machine's clock that all processes share."""

    started: float
    ended: float
    batches: int
    latencies_s: list[float]

    @property
    def rows(self) -> int:
        return self.batches * BATCH_ROWS


def order_rows_of(batch: int) -> list[tuple[str, ...]]:
    first = batch % VARIETY * BATCH_ROWS
    return list(zip(*order_columns(first, first + BATCH_ROWS), strict=True))
