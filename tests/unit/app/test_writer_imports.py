"""What a composer on one machine loads before its first task."""

from __future__ import annotations

import json
import subprocess
import sys

_LIST = (
    "import json, sys; import sluice.app.compose_worker as worker; worker.load_writers(); "
    "print(json.dumps(sorted(sys.modules)))"
)


def test_the_writer_is_loaded_without_what_it_never_uses() -> None:
    done = subprocess.run([sys.executable, "-c", _LIST], capture_output=True, text=True, check=True, timeout=60)
    modules = set(json.loads(done.stdout))
    assert {"sluice.tables.writers.xlsx.workbook", "xlsxwriter", "stream_zip"} <= modules
    assert "asyncio.base_events" not in modules  # asyncio itself is there, and runs when somebody uses it
