"""openpyxl in its write-only mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from openpyxl import Workbook

from tests.bench.orders import Orders


def write_only(orders: Orders, folder: Path) -> Callable[[], int]:
    """Typed values, made before the clock starts."""
    table, names, path = orders.typed(), orders.names, folder / "orders.xlsx"

    def run() -> int:
        book = Workbook(write_only=True)
        sheet = book.create_sheet("orders")
        sheet.append(names)
        for row in table:
            sheet.append(row)
        book.save(path)
        return path.stat().st_size

    return run
