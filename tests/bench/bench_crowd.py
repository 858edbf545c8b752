"""Many exports at once, of mixed formats: throughput, fairness, and how long a question about one of them takes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from sluice.client import Client
from sluice.client.rows import encode_rows
from sluice.client.status import ENDED
from sluice.demo.http_sender import ORDER_COLUMNS, order_batch
from sluice.demo.order_table import BATCH_ROWS
from sluice.domain.options import ExportFormat
from tests.bench.bench_service import until_link
from tests.bench.bound_service import sender_pool
from tests.bench.plan import Plan
from tests.bench.results import Crowd
from tests.support.running_service import ServiceProcess, serving

FORMATS = tuple(known.value for known in ExportFormat)
PAUSE_S = 0.01
"""Between two questions."""


class Finished(NamedTuple):
    """One export."""

    format: str
    seconds: float


def measure_crowds(plan: Plan) -> list[Crowd]:
    """Every crowd with a service of its own."""
    return [measure_crowd(exports, plan.crowd_rows) for exports in plan.crowds]


def measure_crowd(exports: int, rows_each: int) -> Crowd:
    with TemporaryDirectory() as folder, serving(Path(folder) / "data", anew=True) as service:
        return run_crowd(service, exports, rows_each)


def run_crowd(service: ServiceProcess, exports: int, rows_each: int) -> Crowd:
    """Each export has a sender thread of its own; all send the same bodies, made before the clock starts."""
    bodies = [encode_rows(order_batch(sequence, rows_each)) for sequence in range(1, -(-rows_each // BATCH_ROWS) + 1)]
    port = service.http_port
    with sender_pool(1) as prober, ThreadPoolExecutor(exports) as senders:
        prober.submit(ask_until_ended, port, ()).result()  # its process is there, and warm
        started = time.perf_counter()
        tasks = [(name, open_export(port, name)) for name, _ in zip(cycle(FORMATS), range(exports), strict=False)]
        asked = prober.submit(ask_until_ended, port, [task_id for _, task_id in tasks])
        moments = list(senders.map(lambda task: export(port, task[1], bodies, rows_each), tasks))
        finished = [Finished(name, moment - started) for (name, _), moment in zip(tasks, moments, strict=True)]
        latencies_s = sorted(asked.result())
    return _crowd(finished, rows_each, latencies_s)


def open_export(port: int, export_format: str) -> str:
    with Client(f"http://127.0.0.1:{port}") as client:
        return client.open(format=export_format, filename="orders", columns=ORDER_COLUMNS, options={"reuse": False}).id


def export(port: int, task_id: str, bodies: Sequence[bytes], rows: int) -> float:
    """Push, close, wait for the link; the moment at which it is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for sequence, body in enumerate(bodies, 1):
        path = f"/v1/exports/{task_id}/batches/{sequence}"
        connection.request("PUT", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(content)
    connection.close()
    with Client(f"http://127.0.0.1:{port}") as client:
        done = client.export(task_id)
        done.close(rows=rows)
        return until_link(done)


def ask_until_ended(port: int, task_ids: Sequence[str]) -> list[float]:
    """Ask for one task after the other until all have ended; returns how long each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    waiting, latencies_s = list(task_ids), []
    while waiting:
        task_id = waiting.pop(0)
        before = time.perf_counter()
        connection.request("GET", f"/v1/exports/{task_id}")
        task: dict[str, Any] = json.loads(connection.getresponse().read())
        latencies_s.append(time.perf_counter() - before)
        if task["state"] not in ENDED:
            waiting.append(task_id)
        time.sleep(PAUSE_S)
    connection.close()
    return latencies_s


def _crowd(finished: list[Finished], rows_each: int, latencies_s: list[float]) -> Crowd:
    p50_ms, p90_ms, p99_ms = (1000 * latencies_s[int(len(latencies_s) * part)] for part in (0.5, 0.9, 0.99))
    return Crowd(
        exports=len(finished),
        rows_each=rows_each,
        seconds=max(one.seconds for one in finished),
        finished_s={name: sorted(one.seconds for one in finished if one.format == name) for name in FORMATS},
        jain=jain_index([rows_each / one.seconds for one in finished]),
        queries=len(latencies_s),
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        max_ms=1000 * latencies_s[-1],
    )


def jain_index(shares: Sequence[float]) -> float:
    """1 when all shares are equal, 1/n when one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
