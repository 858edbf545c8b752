"""The whole service, with its default settings: from close to link at several sizes."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from sluice.client import Client, Export
from sluice.client.rows import encode_rows
from sluice.demo.http_sender import open_orders, order_batch
from sluice.demo.order_table import BATCH_ROWS
from tests.bench.bound_service import sender_pool
from tests.bench.plan import Plan
from tests.bench.results import Linked
from tests.support.running_service import ServiceProcess, serving

DEBUG = {"SLUICE_LOGGING_LEVEL": "DEBUG"}
SENDERS = 2
SHORT_ROWS = 100_000
"""Tables up to this size are composed in every round, the best counts; larger ones once."""


def measure_links(plan: Plan) -> list[Linked]:
    """Every size with a service of its own."""
    with sender_pool(SENDERS) as pool:
        return [measure_link(pool, rows, plan.rounds if rows <= SHORT_ROWS else 1) for rows in plan.link_rows]


def measure_link(pool: Executor, rows: int, rounds: int) -> Linked:
    with TemporaryDirectory() as folder, serving(Path(folder) / "data", env=DEBUG, anew=True) as service:
        times = [time_both(service, pool, rows) for _ in range(rounds)]
        return Linked(
            rows=rows,
            xlsx_s=min(xlsx_s for xlsx_s, _ in times),
            csv_s=min(csv_s for _, csv_s in times),
            peak_bytes=max(peak_bytes(line) for line in service.events("MemorySnapshot")),
        )


def time_both(service: ServiceProcess, pool: Executor, rows: int) -> tuple[float, float]:
    """Push the table, close it as XLSX, then render it again as CSV from the same chunks; seconds of both."""
    with Client(service.url) as client:
        export = open_orders(client, rows)
        list(pool.map(partial(push_share, service.http_port, export.id, rows), range(1, SENDERS + 1)))
        started = perf_counter()
        export.close(rows=rows)
        xlsx_s = until_link(export) - started
        started = perf_counter()
        return xlsx_s, until_link(export.render(format="csv")) - started


def push_share(port: int, task_id: str, rows: int, first: int) -> None:
    """Send every ``SENDERS``-th batch over one connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for sequence in range(first, -(-rows // BATCH_ROWS) + 1, SENDERS):
        path = f"/v1/exports/{task_id}/batches/{sequence}"
        connection.request("PUT", path, encode_rows(order_batch(sequence, rows)), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(content)
    connection.close()


def until_link(export: Export) -> float:
    """The moment at which there is a link."""
    export.wait()
    export.link()
    return perf_counter()


def peak_bytes(line: dict[str, object]) -> int:
    fields = line["fields"]
    assert isinstance(fields, dict)
    return int(fields["peak_rss_bytes"])
