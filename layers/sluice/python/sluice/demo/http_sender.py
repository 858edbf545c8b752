"""Pushes the order table over HTTP: batches out of order, some of them twice, by two threads at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from sluice.adapters.system_clock import SystemClock
from sluice.client import Client, Export, Receipt
from sluice.demo.order_table import BATCH_ROWS, COLUMNS, order_columns

CLOCK = SystemClock()
SENDERS = 2
TIMEOUT_S = 120
WINDOW = 40
STRIDE = 17
"""Shares no factor with a window's length, so that striding through it meets every batch once."""
TWICE_EVERY = 25
ORDER_COLUMNS = [{"name": column.name, "type": column.type.value, "format": column.format} for column in COLUMNS]


class Sent(NamedTuple):
    """What pushing a table took."""

    rows: int
    batches: int
    repeats: int
    seconds: float


def open_orders(client: Client, rows: int) -> Export:
    """Open an export for the order table."""
    return client.open(format="xlsx", filename="orders.xlsx", columns=ORDER_COLUMNS, expected_rows=rows)


def push_orders(export: Export, rows: int, progress: Callable[[int], object]) -> Sent:
    """Put every batch; ``progress`` is called with the rows that are new to the service."""
    batches = -(-rows // BATCH_ROWS)
    started = CLOCK.monotonic()
    repeats = 0

    def put(sequence: int) -> Receipt:
        return export.put(sequence, order_batch(sequence, rows))

    with ThreadPoolExecutor(SENDERS) as senders:
        for receipt in senders.map(put, shuffled_sequences(batches)):
            progress(0 if receipt.replayed else receipt.rows)
            repeats += receipt.replayed
    return Sent(rows, batches, repeats, CLOCK.monotonic() - started)


def order_batch(sequence: int, rows: int) -> list[tuple[str, ...]]:
    """Batch ``sequence`` of an order table of ``rows`` rows."""
    first = (sequence - 1) * BATCH_ROWS
    return list(zip(*order_columns(first, min(first + BATCH_ROWS, rows)), strict=True))


def shuffled_sequences(batches: int) -> Iterator[int]:
    """Yield the sequences 1 to ``batches`` out of order within a window, every 25th of them twice."""
    for first in range(0, batches, WINDOW):
        for step in range(WINDOW):
            sequence = first + step * STRIDE % WINDOW + 1
            if sequence > batches:
                continue
            yield sequence
            if sequence % TWICE_EVERY == 0:
                yield sequence


def save_link(url: str, target: Path) -> None:
    """Save what a link from a gRPC answer leads to."""
    with urlopen(url, timeout=TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310 - the service made the link
        shutil.copyfileobj(answer, file, 1 << 20)
