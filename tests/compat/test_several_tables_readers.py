"""Every program that reads workbooks finds each of several tables on its own worksheets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from tests.support.readers.corpus import Value, everyday_table
from tests.support.readers.workbooks import WORKBOOK_READERS, WorkbookReader, disagreements
from tests.support.xlsx_tables import NamedTable, write_tables

WITHOUT_ZIP64 = {"SheetJS", "LibreOffice"}
"""They find nothing in such a file, however small, which is why no other file may have ZIP64 in it."""
READERS = pytest.mark.parametrize("reader", WORKBOOK_READERS, ids=lambda reader: reader.name)


@READERS
def test_every_reader_finds_every_table_on_its_own_sheets(reader: WorkbookReader, tmp_path: Path) -> None:
    orders, lines = everyday_table(30), everyday_table(7)
    narrow = lines.columns[:3]
    tables = [
        NamedTable("Orders & <more>", orders.columns, orders.sent),
        NamedTable("Zeilen 报表", narrow, [row[:3] for row in lines.sent]),
    ]
    path = tmp_path / "several.xlsx"
    path.write_bytes(write_tables(tables, limits=Limits(sheet_rows_max=21), batch_rows=9).data)
    expected: dict[str, list[list[Value]]] = {
        "Orders & <more>": [orders.header_in_workbook, *orders.in_workbook[:20]],
        "Orders & <more> (2)": [orders.header_in_workbook, *orders.in_workbook[20:]],
        "Zeilen 报表": [lines.header_in_workbook[:3], *(row[:3] for row in lines.in_workbook)],
        "Index": [
            ["Sheet", "Table", "First row", "Last row", "Rows"],
            ["Orders & <more>", "Orders & <more>", 1.0, 20.0, 20.0],
            ["Orders & <more> (2)", "Orders & <more>", 21.0, 30.0, 10.0],
            ["Zeilen 报表", "Zeilen 报表", 1.0, 7.0, 7.0],
        ],
    }
    (found,) = reader.read([path])
    assert not isinstance(found, str), found
    assert list(found) == list(expected)
    assert [told for name, rows in expected.items() for told in disagreements(reader, found[name], rows)] == []


@pytest.mark.parametrize(
    "reader", [one for one in WORKBOOK_READERS if one.name not in WITHOUT_ZIP64], ids=lambda reader: reader.name
)
def test_a_worksheet_that_needs_zip64_is_read(reader: WorkbookReader, tmp_path: Path) -> None:
    table = everyday_table(60)
    path = tmp_path / "zip64.xlsx"
    tables = [NamedTable("orders", table.columns, table.sent)]
    path.write_bytes(write_tables(tables, options=ExportOptions(), limits=Limits(zip32_bytes_max=9_000)).data)
    (found,) = reader.read([path])
    assert not isinstance(found, str), found
    assert disagreements(reader, found["orders"], [table.header_in_workbook, *table.in_workbook]) == []
