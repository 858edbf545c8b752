"""A whole composer process, as the service starts it, stays below its bound, whatever the number of rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.streams.order_table import COLUMNS, order_batches
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.render_again import RenderRequest, render_again
from sluice.wiring.build import open_outside
from sluice.wiring.settings import settings_from
from tests.support.recorded_journal import RecordedJournal

MB = 1_000_000
PEAK_MB_MAX = 64
GROWTH_MB_MAX = 5


def seal_orders(data: Path, rows: int) -> Task:
    """Push the order table into a data directory and close it; no composer hears of it."""
    settings = settings_from({}, None, {"storage.data_directory": str(data)})
    params = ExportParams(format=ExportFormat.XLSX, filename="orders", columns=COLUMNS)
    with open_outside(settings, RecordedJournal()) as outside:
        ref = open_export(outside, TenantId("acme"), OpenRequest(params)).task.ref
        definitions = Definitions(outside)
        for sequence, batch in enumerate(order_batches(rows), start=1):
            put_batch(outside, definitions, ref, sequence=sequence, batch=batch)
        return close_export(outside, ref, CloseRequest(rows=rows))


def compose_in_a_worker(data: Path, task: Task) -> float:
    """Have a worker process compose the task; returns the most memory it held, in MB."""
    bell = json.dumps({"tenant": task.tenant, "task_id": task.task_id, "sha": task.man_sha})
    command = [sys.executable, "-m", "sluice.cli.compose_worker", "--data", str(data)]
    worker = subprocess.run(command, input=bell + "\n", capture_output=True, text=True, check=True, timeout=100)
    words = [json.loads(line) for line in worker.stdout.splitlines()]
    assert words[-1] == {"outcome": "completed"}
    [snapshot] = [word for word in words if word.get("event") == "MemorySnapshot"]
    return float(snapshot["fields"]["peak_rss_bytes"]) / MB


def read_row(data: Path, task: Task) -> Task | None:
    settings = settings_from({}, None, {"storage.data_directory": str(data)})
    with open_outside(settings, RecordedJournal()) as outside:
        return outside.tasks.read(task.ref)


def render_as_csv(data: Path, task: Task) -> Task:
    """Seal a second task over the same chunks."""
    settings = settings_from({}, None, {"storage.data_directory": str(data)})
    with open_outside(settings, RecordedJournal()) as outside:
        return render_again(outside, task.ref, RenderRequest(format=ExportFormat.CSV)).task


@pytest.mark.serial
@pytest.mark.slow
def test_a_composer_stays_below_64_mb_from_a_hundred_thousand_rows_to_two_million(tmp_path: Path) -> None:
    peaks_mb: dict[str, list[float]] = {"xlsx": [], "csv": []}
    for rows in (100_000, 2_000_000):
        data = tmp_path / str(rows)
        as_xlsx = seal_orders(data, rows)
        as_csv = render_as_csv(data, as_xlsx)
        for name, task in (("xlsx", as_xlsx), ("csv", as_csv)):
            peaks_mb[name].append(compose_in_a_worker(data, task))
            done = read_row(data, task)
            assert done is not None
            assert (done.state, done.result_rows) == (State.COMPLETED, rows)
    for small, large in peaks_mb.values():
        assert large <= PEAK_MB_MAX
        assert large - small <= GROWTH_MB_MAX
