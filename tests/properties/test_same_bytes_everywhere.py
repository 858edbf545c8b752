"""The same rows give the same bytes in every process, whatever its time zone, locale, hash seed and batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, locale, sys
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS
from tests.support.readers.corpus import CORPUS, CorpusTable, everyday_table
from tests.support.xlsx_tables import batches_of

try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:  # not every machine has every locale
    pass
batch_rows = int(sys.argv[1])
orders = everyday_table(2_500)
days = next(table for table in CORPUS if table.name == "plain datetimes")
months = CorpusTable("months", (ColumnSpec("day", ColumnType.DATE, format="dddd, d mmmm yyyy"),), days.cells)
looks = {"banding": True, "header_color": "FFEE00", "timezone": "Asia/Shanghai", "excel_sheet_name": "\\u00dcberblick"}
ways = [
    (ExportFormat.XLSX, {}),
    (ExportFormat.XLSX, {"compact": True, "compression_enabled": True, "right_to_left": True, **looks}),
    (ExportFormat.CSV, {}),
    (ExportFormat.CSV, {"compression_enabled": True, "quote_all": True, "csv_encoding": "utf-16"}),
    (ExportFormat.CSV, {"csv_encoding": "gbk", "on_unencodable": "replace", "line_ending": "lf"}),
]
for kind, options in ways:
    for table in (*CORPUS, orders, months):
        plan = FilePlan(
            columns=table.columns,
            options=ExportOptions(**{"on_invalid": "text", **options}),
            rows=len(table.cells),
            size=10_000_000,
            stem="\\u00dcberblick",
        )
        tally = Tally()
        data = b"".join(FORMATS[kind].write(batches_of(table.sent, len(table.columns), batch_rows), plan, tally))
        print(kind, table.name, hashlib.sha256(data).hexdigest(), sorted(tally.warnings.items()))
"""
SURROUNDINGS = (
    {"TZ": "America/New_York", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "1", "PYTHONUTF8": "0"},
    {"TZ": "Asia/Kathmandu", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "PYTHONUTF8": "1"},
    {"TZ": "Asia/Shanghai", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "3", "PYTHONUTF8": "1"},
)


def told(around: dict[str, str], batch_rows: int) -> list[str]:
    """What a process of its own says about each file: format, table, digest, warnings."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(batch_rows)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | around,
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )
    return done.stdout.splitlines()


@pytest.mark.slow
def test_every_file_has_the_same_bytes_in_any_surroundings_and_any_cutting() -> None:
    first, *others = (told(around, rows) for around, rows in zip(SURROUNDINGS, (1_000, 7, 333), strict=True))
    assert len(first) > 50
    assert len({line.split(" ")[0] for line in first}) == 2
    for other in others:
        assert [pair for pair in zip(first, other, strict=True) if pair[0] != pair[1]] == []
