"""The peak memory of a whole composer process: over the embedded stores, and deployed, with both SDKs loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.local.cloud import LocalCloud, deploy_variables, local_cloud
from sluice.adapters.cloud_credentials import Credentials, FixedCredentials
from sluice.domain.keys import TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.secret import Secret
from sluice.domain.task import Task
from sluice.ports.outside import Outside
from sluice.streams.order_table import COLUMNS, order_batches
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.wiring.build import open_outside
from sluice.wiring.cloud import open_cloud
from sluice.wiring.settings import settings_from
from tests.bench.plan import Plan
from tests.bench.results import Composed
from tests.support.recorded_journal import RecordedJournal

EMBEDDED, CLOUD = "embedded", "cloud"
COMPOSE_S = 900


def measure_memory(plan: Plan) -> list[Composed]:
    """Compose tables of growing size, each in a fresh process."""
    return [*map(compose_embedded, plan.embedded_rows), *_compose_in_the_cloud(plan.cloud_rows)]


def seal_orders(outside: Outside, rows: int) -> Task:
    """Straight through the use cases: the relay's memory is not the question here."""
    params = ExportParams(format=ExportFormat.XLSX, filename="orders", columns=COLUMNS)
    ref = open_export(outside, TenantId("acme"), OpenRequest(params)).task.ref
    definitions = Definitions(outside)
    for sequence, batch in enumerate(order_batches(rows), start=1):
        put_batch(outside, definitions, ref, sequence=sequence, batch=batch)
    return close_export(outside, ref, CloseRequest(rows=rows))


def compose_embedded(rows: int) -> Composed:
    """In a worker process, as the service starts it."""
    with TemporaryDirectory() as data:
        settings = settings_from({}, None, {"storage.data_directory": data})
        with open_outside(settings, RecordedJournal()) as outside:
            task = seal_orders(outside, rows)
        bell = json.dumps({"tenant": task.tenant, "task_id": task.task_id, "sha": task.man_sha})
        command = [sys.executable, "-m", "sluice.cli.compose_worker", "--data", data]
        started = time.perf_counter()
        worker = subprocess.run(command, input=bell + "\n", capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
    *words, last = [json.loads(line) for line in worker.stdout.splitlines()]
    if last != {"outcome": "completed"}:
        raise RuntimeError(last)
    (peak_bytes,) = (word["fields"]["peak_rss_bytes"] for word in words if word.get("event") == "MemorySnapshot")
    return Composed(home=EMBEDDED, rows=rows, peak_bytes=peak_bytes, seconds=seconds)


def _compose_in_the_cloud(sizes: tuple[int, ...]) -> Iterator[Composed]:
    if not sizes:
        return
    with TemporaryDirectory() as folder, local_cloud(Path(folder)) as cloud:
        for rows in sizes:
            yield compose_deployed(cloud, rows)


def compose_deployed(cloud: LocalCloud, rows: int) -> Composed:
    """In the composer's function, from the built layers where the deployed Python is installed."""
    key = cloud.keys.of("sender")
    variables = {**deploy_variables(cloud.oss, cloud.ots), "SLUICE_STORAGE_BACKEND": "oss"}
    settings = settings_from({name: value for name, value in variables.items() if name.startswith("SLUICE")}, None)
    credentials = FixedCredentials(
        Credentials(key.access_key_id, Secret(key.access_key_secret), Secret(key.security_token))
    )
    with open_cloud(settings, RecordedJournal(), credentials=credentials) as outside:
        seal_orders(outside, rows)
    cloud.oss.settle()
    if not cloud.host.calls["compose"].settle(COMPOSE_S):
        raise RuntimeError(f"the composer did not end within {COMPOSE_S} s")
    run = cloud.host.invocations("compose")[-1]
    if run.outcome != "success":
        raise RuntimeError(run.payload)
    return Composed(home=CLOUD, rows=rows, peak_bytes=run.peak_bytes, seconds=run.seconds, note=cloud.interpreter.note)
