"""How many rows a second go through the relay, over HTTP, to a durable chunk and claim.

    python -m tests.bench.bench_relay [--batches 300] [--stores directory|memory]

The relay runs in a process of its own, bound to one core; senders are other
processes. Besides rows a second it prints rows per second of the relay's
processor time, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from sluice.streams.order_table import BATCH_ROWS, COLUMNS, order_columns
from tests.support.http_process import HttpProcess, http_process

VARIETY = 8
"""Different bodies, sent in turn."""


class Load(NamedTuple):
    """What one sender sends."""

    port: int
    task_id: str
    content_type: str
    bodies: list[bytes]
    first: int
    batches: int


def main() -> None:
    """Run every combination of content type and number of senders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--stores", choices=["directory", "memory"], default="directory")
    options = parser.parse_args()
    print(f"{options.batches} batches of {BATCH_ROWS:,} rows x {len(COLUMNS)} columns, {options.stores} stores")
    print(f"{'body':34} {'senders':>7} {'rows/s':>10} {'rows/s of CPU':>14} {'ms/batch p50':>13} {'p99':>7}")
    for content_type, encode in BODIES.items():
        bodies = [encode(order_rows(index * BATCH_ROWS)) for index in range(VARIETY)]
        for senders in (1, 4):
            run = Run(content_type, bodies, senders, options.batches)
            with (
                TemporaryDirectory() as folder,
                http_process(Path(folder), stores=options.stores, one_core=True) as relay,
            ):
                report(run, measure(relay, run))


class Run(NamedTuple):
    content_type: str
    bodies: list[bytes]
    senders: int
    batches: int


class Measured(NamedTuple):
    rows: int
    seconds: float
    cpu_seconds: float
    latencies: list[float]


def measure(relay: HttpProcess, run: Run) -> Measured:
    """Push the batches, shared by the senders."""
    task_id = open_task(relay.port)
    share = run.batches // run.senders
    loads = [
        Load(relay.port, task_id, run.content_type, run.bodies, 1 + index * share, share)
        for index in range(run.senders)
    ]
    warm_up = [load._replace(first=run.batches + 1 + index, batches=1) for index, load in enumerate(loads)]
    with ProcessPoolExecutor(run.senders) as pool:
        list(pool.map(push, warm_up))
        cpu_before, started = relay.cpu_seconds(), time.perf_counter()
        latencies = [latency for part in pool.map(push, loads) for latency in part]
        seconds = time.perf_counter() - started
        return Measured(share * run.senders * BATCH_ROWS, seconds, relay.cpu_seconds() - cpu_before, sorted(latencies))


def report(run: Run, one: Measured) -> None:
    p50, p99 = (1000 * one.latencies[int(len(one.latencies) * part)] for part in (0.5, 0.99))
    rate, cpu_rate = one.rows / one.seconds, one.rows / one.cpu_seconds
    print(f"{run.content_type:34} {run.senders:7} {rate:10,.0f} {cpu_rate:14,.0f} {p50:13.1f} {p99:7.1f}", flush=True)


def push(load: Load) -> list[float]:
    """Send batches over one connection; returns how long each took."""
    connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=60)
    latencies = []
    for sequence in range(load.first, load.first + load.batches):
        started = time.perf_counter()
        body = load.bodies[sequence % len(load.bodies)]
        path = f"/v1/exports/{load.task_id}/batches/{sequence}"
        connection.request("PUT", path, body, {"Content-Type": load.content_type})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(content)
        latencies.append(time.perf_counter() - started)
    connection.close()
    return latencies


def open_task(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    columns = [{"name": column.name, "type": column.type.value, "format": column.format} for column in COLUMNS]
    definition = {"format": "xlsx", "filename": "orders", "columns": columns}
    connection.request("POST", "/v1/exports", json.dumps(definition), {"Content-Type": "application/json"})
    task: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return str(task["task_id"])


def order_rows(first: int) -> list[tuple[str | None, ...]]:
    return list(zip(*order_columns(first, first + BATCH_ROWS), strict=True))


def as_json(rows: list[Any]) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode()


def as_objects(rows: list[Any]) -> bytes:
    names = [column.name for column in COLUMNS]
    return as_json([dict(zip(names, row, strict=True)) for row in rows])


def as_ndjson(rows: list[Any]) -> bytes:
    return b"\n".join(map(as_json, rows))


def as_csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


BODIES: dict[str, Callable[[list[Any]], bytes]] = {
    "application/json": as_json,
    "application/json; shape=objects": as_objects,
    "application/x-ndjson": as_ndjson,
    "text/csv; header=absent": as_csv,
}


if __name__ == "__main__":
    main()
