"""rustpy-xlsxwriter: rust_xlsxwriter behind Python, in its constant-memory mode, which is its default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rustpy_xlsxwriter import FastExcel  # type: ignore[import-not-found]  # of the benchmarks' own lock

from tests.bench.orders import Orders


def typed(orders: Orders, folder: Path) -> Callable[[], int]:
    """Dictionaries of typed values, the input it is made for; they are there before the clock starts."""
    names, path = orders.names, folder / "orders.xlsx"
    records = [dict(zip(names, row, strict=True)) for row in orders.typed()]

    def run() -> int:
        FastExcel(str(path)).sheet("orders", records).save()
        return path.stat().st_size

    return run
