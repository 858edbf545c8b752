"""Compressing a CSV file needs the same memory for any number of rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.memory]

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
COMPOSE = """
import json, sys
from itertools import repeat
from pathlib import Path
from sluice.tables.batch import Batch
from sluice.domain.limits import Limits
from sluice.domain.manifest import Claim
from sluice.domain.options import ExportOptions
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.csv.format import CSV
from sluice.tables.chunk_codec import decode_chunk, encode_batch
from sluice.tables.bytes.digests import Digest, digested
from sluice.demo.order_table import COLUMNS, order_columns
from sluice.tables.bytes.parts import slice_parts

rows, batch_rows, options = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
limits = Limits()

def stored():
    # The same few rows again and again: making rows is not what is measured.
    chunks = [encode_batch(Batch.of_columns(order_columns(first, first + batch_rows), batch_rows))
              for first in range(0, 4 * batch_rows, batch_rows)]
    for number in range(rows // batch_rows):
        chunk = chunks[number % 4]
        yield decode_chunk(chunk.body, Claim(1, chunk.sha, chunk.rows, chunk.size), size_max=limits.batch_bytes_max)

table = FilePlan(columns=COLUMNS, options=ExportOptions(**options), rows=rows, size=rows * 150)
tally, digest = Tally(), Digest()
largest = 0
for part in slice_parts(digested(CSV.write(stored(), table, tally), digest), repeat(limits.part_bytes_min)):
    largest = max(largest, len(part))
status = Path("/proc/self/status").read_text()
peak_kib = int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps({"rows": tally.rows, "size": digest.size, "largest": largest, "peak": peak_kib * 1024}))
"""


def compose(rows: int, batch_rows: int, **options: object) -> dict[str, int]:
    """Compose in a process of its own; peak resident memory is that process's alone."""
    told = subprocess.run(
        [sys.executable, "-c", COMPOSE, str(rows), str(batch_rows), json.dumps(options)],
        capture_output=True, check=True, cwd=ROOT, timeout=100,
    )  # fmt: skip
    seen: dict[str, int] = json.loads(told.stdout)
    assert seen["rows"] == rows
    assert seen["largest"] == MIB
    return seen


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux")
def test_a_compressed_file_needs_no_more_memory_for_eight_times_the_rows() -> None:
    few, many = compose(100_000, 1_000, compression_enabled=True), compose(800_000, 1_000, compression_enabled=True)
    assert many["size"] > 7 * few["size"]
    assert many["peak"] - few["peak"] <= 5 * MIB
    assert many["peak"] < 64 * MIB
