"""A sender over HTTP: one connection, one batch after the other."""

from __future__ import annotations

import csv
import http.client
import io
import json
import time
from collections.abc import Callable
from typing import Any

from sluice.demo.order_table import COLUMNS
from tests.bench.bound_service import wait_for_the_others
from tests.bench.relay_load import VARIETY, Load, Span, order_rows_of

TIMEOUT_S = 60


def push_http(load: Load) -> Span:
    """Send the batches; the bodies are made before the clock starts."""
    content_type, encode = BODIES[load.face]
    bodies = [encode(order_rows_of(index)) for index in range(VARIETY if load.batches else 1)]
    connection = http.client.HTTPConnection("127.0.0.1", int(load.address), timeout=TIMEOUT_S)
    latencies = []
    _put(connection, load, load.first, bodies[0], content_type)
    wait_for_the_others()
    started = before = time.monotonic()
    for sequence in range(load.first + 1, load.first + 1 + load.batches):
        _put(connection, load, sequence, bodies[sequence % VARIETY], content_type)
        now = time.monotonic()
        latencies.append(now - before)
        before = now
    connection.close()
    return Span(started, before, load.batches, latencies)


def _put(connection: http.client.HTTPConnection, load: Load, sequence: int, body: bytes, content_type: str) -> None:
    path = f"/v1/exports/{load.task_id}/batches/{sequence}"
    connection.request("PUT", path, body, {"Content-Type": content_type})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(content)


def open_task(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    columns = [{"name": column.name, "type": column.type.value, "format": column.format} for column in COLUMNS]
    definition = {"format": "xlsx", "filename": "orders", "columns": columns}
    connection.request("POST", "/v1/exports", json.dumps(definition), {"Content-Type": "application/json"})
    task: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return str(task["task_id"])


def as_json(rows: Any) -> bytes:
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


BODIES: dict[str, tuple[str, Callable[[list[Any]], bytes]]] = {
    "HTTP, JSON arrays": ("application/json", as_json),
    "HTTP, JSON objects": ("application/json; shape=objects", as_objects),
    "HTTP, NDJSON": ("application/x-ndjson", as_ndjson),
    "HTTP, CSV": ("text/csv; header=absent", as_csv),
}
