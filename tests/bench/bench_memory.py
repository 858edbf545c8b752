"""The peak memory of a whole composer process: over the embedded stores, and deployed, with both SDKs loaded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.local.cloud import local_cloud
from sluice.demo.order_table import COLUMNS, order_batches
from sluice.domain.options import ExportFormat
from tests.bench.plan import Plan
from tests.bench.results import Composed
from tests.support.composed_runs import DataDirectory
from tests.support.deployed_runs import compose_deployed

EMBEDDED, CLOUD = "embedded", "cloud"
COMPOSE_S = 900


def measure_memory(plan: Plan) -> list[Composed]:
    """Compose tables of growing size, each in a fresh process."""
    return [*map(compose_embedded, plan.embedded_rows), *_compose_in_the_cloud(plan.cloud_rows)]


def compose_embedded(rows: int) -> Composed:
    """In a worker process, as the service starts it."""
    with TemporaryDirectory() as folder:
        data = DataDirectory(Path(folder))
        task = data.seal(ExportFormat.XLSX, COLUMNS, order_batches(rows))
        started = time.perf_counter()
        peak_bytes = data.compose(task, timeout_s=COMPOSE_S)
        seconds = time.perf_counter() - started
    return Composed(home=EMBEDDED, rows=rows, peak_bytes=peak_bytes, seconds=seconds)


def _compose_in_the_cloud(sizes: tuple[int, ...]) -> Iterator[Composed]:
    """In the composer's function, from the built layers where the deployed Python is installed."""
    if not sizes:
        return
    with TemporaryDirectory() as folder, local_cloud(Path(folder)) as cloud:
        note = cloud.interpreter.note
        for rows in sizes:
            run = compose_deployed(cloud, rows, timeout_s=COMPOSE_S)
            yield Composed(home=CLOUD, rows=rows, peak_bytes=run.peak_bytes, seconds=run.seconds, note=note)
