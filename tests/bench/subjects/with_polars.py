"""polars: from rows in Python's memory, and from a frame that is there already. It uses every core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from tests.bench.orders import Orders


def from_rows(orders: Orders, folder: Path) -> Callable[[], int]:
    """Making the frame is inside the clock."""
    table, path = orders.texts(), folder / "orders.csv"
    schema = dict.fromkeys(orders.names, pl.String)

    def run() -> int:
        pl.DataFrame(table, schema=schema, orient="row").write_csv(path)
        return path.stat().st_size

    return run


def from_frame(orders: Orders, folder: Path) -> Callable[[], int]:
    """The frame is there before the clock starts."""
    schema = dict.fromkeys(orders.names, pl.String)
    frame, path = pl.DataFrame(orders.texts(), schema=schema, orient="row"), folder / "orders.csv"

    def run() -> int:
        frame.write_csv(path)
        return path.stat().st_size

    return run
