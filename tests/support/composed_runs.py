"""Tables sealed in a data directory, and composer processes that write their files and tell the memory they took."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.ports.outside import Outside
from sluice.streams.formats import FORMATS
from sluice.usecases.bound_memory import composer_bytes_max
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.load_manifest import load_manifest
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.render_again import RenderRequest, render_again
from sluice.usecases.write_result import plan_table
from sluice.wiring.build import open_outside
from sluice.wiring.settings import Settings, settings_from
from tests.support.recorded_journal import RecordedJournal


def seal_table(outside: Outside, params: ExportParams, batches: Iterable[Batch]) -> Task:
    """Push a table and close it, straight through the use cases: the relay's memory is not the question here."""
    ref = open_export(outside, TenantId("acme"), OpenRequest(params)).task.ref
    definitions = Definitions(outside)
    rows = 0
    for sequence, batch in enumerate(batches, start=1):
        put_batch(outside, definitions, ref, sequence=sequence, batch=batch)
        rows += batch.rows
    return close_export(outside, ref, CloseRequest(rows=rows))


class DataDirectory:
    """Embedded stores, used as the service uses them; no composer hears of what is sealed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def seal(
        self,
        format: ExportFormat,  # noqa: A002 -- the API's word
        columns: tuple[ColumnSpec, ...],
        batches: Iterable[Batch],
        options: ExportOptions | None = None,
    ) -> Task:
        """Push a table and close it."""
        params = ExportParams(format=format, filename="table", columns=columns, options=options or ExportOptions())
        with open_outside(self._settings, RecordedJournal()) as outside:
            return seal_table(outside, params, batches)

    def seal_again(self, task: Task, format: ExportFormat) -> Task:  # noqa: A002 -- as above
        """Seal a second task over the same chunks."""
        with open_outside(self._settings, RecordedJournal()) as outside:
            return render_again(outside, task.ref, RenderRequest(format=format)).task

    def compose(self, task: Task, *, timeout_s: float = 100) -> int:
        """Have a worker process compose the task as the service does; returns the most bytes it held."""
        bell = json.dumps({"tenant": task.tenant, "task_id": task.task_id, "sha": task.man_sha})
        command = [sys.executable, "-m", "sluice.cli.compose_worker", "--data", str(self.path)]
        worker = subprocess.run(
            command, input=bell + "\n", capture_output=True, text=True, check=True, timeout=timeout_s
        )
        words = [json.loads(line) for line in worker.stdout.splitlines()]
        assert words[-1] == {"outcome": "completed"}
        with open_outside(self._settings, RecordedJournal()) as outside:
            done, manifest = outside.tasks.read(task.ref), load_manifest(outside, task)
        assert done is not None
        assert (done.state, done.result_rows) == (State.COMPLETED, manifest.rows)
        [snapshot] = [word for word in words if word.get("event") == "MemorySnapshot"]
        return int(snapshot["fields"]["peak_rss_bytes"])

    def bound(self, task: Task) -> int:
        """What composing the task adds to the process at most, as the composer itself computes it."""
        params = task.read_params()
        with open_outside(self._settings, RecordedJournal()) as outside:
            manifest = load_manifest(outside, task)
            table = plan_table(outside, task, params, manifest)
        return composer_bytes_max(FORMATS[params.format], table, manifest)

    @property
    def _settings(self) -> Settings:
        return settings_from({}, None, {"storage.data_directory": str(self.path)})
