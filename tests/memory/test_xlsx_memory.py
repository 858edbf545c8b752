"""The writer's peak memory does not depend on the number of rows. Each measurement has a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIB = 1024 * 1024

PROGRAM = """
import sys
from pathlib import Path
from sluice.domain.batch import Batch
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.table import Table, Tally
from sluice.streams.formats import FORMATS
from sluice.streams.order_table import COLUMNS, order_batches

kind, rows = sys.argv[1], int(sys.argv[2])
if kind == "large":  # batches of about four megabytes, full of what grows when it is escaped
    cells = [["<&>\\x07" * 10] * 10_000] * 10
    batches = (Batch.of_columns(cells, 10_000) for _ in range(rows // 10_000))
else:
    batches = order_batches(rows)
written = 0
table = Table(columns=COLUMNS, options=ExportOptions(on_invalid="text"), rows=rows, size=rows * 400, created_at=1.7e9)
for block in FORMATS[ExportFormat.XLSX].write(batches, table, Tally()):
    written += len(block)
# Not getrusage: its peak includes the parent's at the time of the fork.
peak_kib = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak_kib) * 1024, written)
"""


def peak_bytes(kind: str, rows: int) -> int:
    """Peak resident memory of a process that writes ``rows`` rows and drops the file's blocks."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, str(rows)], check=True, capture_output=True, text=True, timeout=100
    )
    peak, written = map(int, done.stdout.split())
    assert written > rows
    return peak


@pytest.mark.serial
@pytest.mark.slow
def test_eight_times_the_rows_need_no_more_memory() -> None:
    few, many = peak_bytes("orders", 50_000), peak_bytes("orders", 400_000)
    assert many - few <= 5 * MIB, f"{few / MIB:.1f} MiB and {many / MIB:.1f} MiB"
    assert many <= 64 * MIB, f"{many / MIB:.1f} MiB"


@pytest.mark.serial
@pytest.mark.slow
def test_a_large_batch_is_rendered_in_slices() -> None:
    few, many = peak_bytes("large", 10_000), peak_bytes("large", 40_000)
    assert many - few <= 5 * MIB, f"{few / MIB:.1f} MiB and {many / MIB:.1f} MiB"
    assert many <= 80 * MIB, f"{many / MIB:.1f} MiB"
