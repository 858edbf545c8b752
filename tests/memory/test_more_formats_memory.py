"""Composing Parquet needs the same memory for any number of rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sluice.demo.order_table import COLUMNS
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec
from sluice.tables.file_plan import FilePlan
from sluice.tables.writers.parquet.row_groups import memory_bytes_max

pytestmark = [
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux"),
]

MIB = 1024 * 1024
LIBRARY_BYTES = 32 * MIB
"""What the library takes with the first row group it writes, however small."""
PROGRAM = """
import sys
from pathlib import Path
from sluice.tables.batch import Batch
from sluice.domain.schema import ColumnSpec
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS
from sluice.demo.order_table import COLUMNS, order_batches

name, kind, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
if name == "parquet":
    import sluice.tables.writers.parquet.file
columns = COLUMNS if kind == "orders" else tuple(ColumnSpec(f"c{index}") for index in range(1_000))
if kind == "orders":
    few = list(order_batches(10_000))  # the same rows again and again: making rows is not what is measured
else:
    few = [Batch.of_columns([[f"{row}-{index}"] for index in range(1_000)], 1) for row in range(100)]
def batches():
    for number in range(rows // few[0].rows):
        yield few[number % len(few)]
def resident(line):
    return int(Path("/proc/self/status").read_text().partition(line)[2].split()[0]) * 1024
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS:")
table = FilePlan(columns=columns, options=ExportOptions(), rows=rows, size=rows * 160)
written = sum(map(len, FORMATS[ExportFormat(name)].write(batches(), table, Tally())))
print(resident("VmHWM:") - before, resident("VmHWM:"), written)
"""


def grown(name: str, kind: str, rows: int) -> int:
    """Peak resident memory of a process of its own, above what was resident before the first row."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, kind, str(rows)], check=True, capture_output=True, text=True, timeout=100
    )
    growth, peak, written = map(int, done.stdout.split())
    assert written > rows
    print(f"{name} {kind} {rows}: {growth / MIB:.1f} MiB grown, peak {peak / MIB:.1f} MiB")
    return growth


def parquet_bound(columns: Sequence[ColumnSpec], rows: int) -> int:
    """The bound that the writer states."""
    table = FilePlan(columns=tuple(columns), options=ExportOptions(), rows=rows, size=rows * 160)
    return LIBRARY_BYTES + memory_bytes_max(table)


def test_parquet_holds_one_row_group_whatever_the_number_of_rows() -> None:
    few, many = grown("parquet", "orders", 100_000), grown("parquet", "orders", 400_000)
    assert many - few <= 8 * MIB
    assert many <= parquet_bound(COLUMNS, 400_000)


def test_a_wide_parquet_table_in_batches_of_one_row_is_held_as_bytes_not_as_objects() -> None:
    columns = [ColumnSpec(f"c{index}") for index in range(1_000)]
    assert grown("parquet", "wide", 1_500) <= parquet_bound(columns, 1_500)
