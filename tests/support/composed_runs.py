"""Tables sealed in a data directory, and composer processes that write their files and tell the memory they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from sluice.app.backends import open_ports
from sluice.app.settings.validation import Settings, settings_for_child, settings_from
from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.tables.formats import FORMATS
from sluice.usecases.composing.bound_memory import composer_bytes_max
from sluice.usecases.composing.read_chunks import load_manifest
from sluice.usecases.composing.write_result import plan_file
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from tests.support.recorded_journal import RecordedJournal


def seal_table(ports: Ports, params: ExportParams, batches: Iterable[Batch]) -> Task:
    """Push a table and close it, straight through the use cases: the relay's memory is not the question here."""
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    params_cache = ParamsCache(ports)
    rows = 0
    for sequence, batch in enumerate(batches, start=1):
        put_batch(ports, params_cache, ref, sequence=sequence, batch=batch)
        rows += batch.rows
    return close_export(ports, ref, CloseRequest(rows=rows))


class DataDirectory:
    """Stores used as the service uses them, the embedded ones unless ``env`` says others; nothing starts a composer."""

    def __init__(self, path: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._env = dict(env or {})

    def seal(
        self,
        format: ExportFormat,  # noqa: A002 -- the API's word
        columns: tuple[ColumnSpec, ...],
        batches: Iterable[Batch],
        options: ExportOptions | None = None,
    ) -> Task:
        """Push a table and close it."""
        params = ExportParams(format=format, filename="table", columns=columns, options=options or ExportOptions())
        with open_ports(self._settings, RecordedJournal()) as ports:
            return seal_table(ports, params, batches)

    def seal_again(self, task: Task, format: ExportFormat) -> Task:  # noqa: A002 -- the API's word
        """Seal a second task over the same chunks."""
        with open_ports(self._settings, RecordedJournal()) as ports:
            return render_again(ports, task.ref, RenderRequest(format=format)).task

    def open(self, params: ExportParams) -> Task:
        """Open an export whose rows its worker reads from a source."""
        with open_ports(self._settings, RecordedJournal()) as ports:
            return open_export(ports, TenantId("acme"), OpenRequest(params)).task

    def compose(self, task: Task, *, timeout_s: float = 100) -> int:
        """Have a worker compose the task, or read its rows first, as the service does; gives its peak memory."""
        trigger = json.dumps({"tenant": task.tenant, "task_id": task.task_id, "sha": task.man_sha})
        command = [sys.executable, "-m", "sluice.app.compose_worker"]
        worker = subprocess.run(
            command,
            input=f"{json.dumps(settings_for_child(self._settings))}\n{trigger}\n",
            env={**os.environ, **self._env},
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_s,
        )
        words = [json.loads(line) for line in worker.stdout.splitlines()]
        assert words[-1] == {"outcome": "completed"}
        with open_ports(self._settings, RecordedJournal()) as ports:
            done = ports.tasks.read(task.ref)
            assert done is not None
            manifest = load_manifest(ports, done)
        assert (done.state, done.result_rows) == (State.COMPLETED, manifest.rows)
        [snapshot] = [word for word in words if word.get("event") == "MemorySnapshot"]
        return int(snapshot["fields"]["peak_rss_bytes"])

    def bound(self, task: Task) -> int:
        """What composing the task adds to the process at most, as the composer itself computes it."""
        params = task.live_params
        with open_ports(self._settings, RecordedJournal()) as ports:
            manifest = load_manifest(ports, task)
            table = plan_file(ports, task, manifest)
        return composer_bytes_max(FORMATS[params.format], table, manifest)

    @property
    def _settings(self) -> Settings:
        return settings_from(self._env, None, {"storage.data_directory": str(self.path)})
