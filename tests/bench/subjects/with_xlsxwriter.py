"""XlsxWriter in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xlsxwriter import Workbook

from sluice.domain.schema import ColumnType
from tests.bench.orders import Orders

DATE_FORMAT = "yyyy-mm-dd hh:mm:ss"


def typed(orders: Orders, folder: Path) -> Callable[[], int]:
    """With the cell types that ours writes; the values are Python's own before the clock starts."""
    table, specs, path = orders.typed(), orders.specs, folder / "orders.xlsx"

    def run() -> int:
        book = Workbook(str(path), {"constant_memory": True})
        sheet = book.add_worksheet()
        writes = {
            ColumnType.STRING: sheet.write_string,
            ColumnType.NUMBER: sheet.write_number,
            ColumnType.DATETIME: sheet.write_datetime,
            ColumnType.BOOLEAN: sheet.write_boolean,
        }
        formats = {name: book.add_format({"num_format": name}) for name in ("#,##0.00", DATE_FORMAT)}
        cells = [
            (index, writes[spec.type], formats.get(DATE_FORMAT if spec.type is ColumnType.DATETIME else spec.format))
            for index, spec in enumerate(specs)
        ]
        for index, spec in enumerate(specs):
            sheet.write_string(0, index, spec.name)
        for number, row in enumerate(table, 1):
            for (index, write, shown_as), value in zip(cells, row, strict=True):
                write(number, index, value, shown_as)
        book.close()
        return path.stat().st_size

    return run


def texts(orders: Orders, folder: Path) -> Callable[[], int]:
    """Everything as text, by its shortest call."""
    table, names, path = orders.texts(), orders.names, folder / "orders.xlsx"

    def run() -> int:
        plain = {"constant_memory": True, "strings_to_urls": False, "strings_to_formulas": False}
        book = Workbook(str(path), plain)
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, names)
        for number, row in enumerate(table, 1):
            sheet.write_row(number, 0, row)
        book.close()
        return path.stat().st_size

    return run
