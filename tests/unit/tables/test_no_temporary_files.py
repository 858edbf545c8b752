"""No writer puts anything on a disk: a process that may not write one byte into a file writes every format."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.domain.options import ExportFormat

ROOT = Path(__file__).parents[3]
PROGRAM = """
import resource, sys
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS
from sluice.demo.order_table import COLUMNS, order_batches

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    with open(sys.argv[1], "wb", buffering=0) as file:
        file.write(b"x")
except OSError:
    print("held", end=" ")
table = FilePlan(columns=COLUMNS, options=ExportOptions(), rows=5_000, size=10_000_000, stem="orders")
for file_format in ExportFormat:
    tally = Tally()
    size = sum(map(len, FORMATS[file_format].write(order_batches(5_000), table, tally)))
    print(file_format, size > 100_000, tally.rows, end=" ")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits")
def test_a_file_is_written_without_a_temporary_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "probe")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    written = [word for file_format in ExportFormat for word in (file_format.value, "True", "5000")]
    assert done.stdout.split() == ["held", *written], done.stderr[-500:]
