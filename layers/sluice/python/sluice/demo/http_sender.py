"""Pushes the order table over HTTP, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from sluice.adapters.system_clock import SystemClock
from sluice.demo.order_table import BATCH_ROWS, COLUMNS, order_columns
from sluice.demo.trouble import troubled_order

CLOCK = SystemClock()
SENDERS = 2
TIMEOUT_S = 120
TERMINAL = ("completed", "failed", "cancelled", "expired")


class Sent(NamedTuple):
    """What pushing a table took."""

    rows: int
    batches: int
    repeats: int
    seconds: float


class HttpSender:
    """A client of the HTTP API. One connection per call of ``request``; batches share theirs.

    ``token`` is an API key, for a service that asks for one.
    """

    def __init__(self, host: str, port: int, *, token: str = "") -> None:
        self._address = (host, port)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send JSON, receive JSON. Raises RuntimeError with the service's words for an error."""
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        try:
            return self._call(connection, method, path, None if body is None else json.dumps(body).encode())
        finally:
            connection.close()

    def open_orders(self, rows: int) -> str:
        """Open an export for the order table; returns the task's id."""
        columns = [{"name": column.name, "type": column.type.value, "format": column.format} for column in COLUMNS]
        task = self.request(
            "POST",
            "/v1/exports",
            {"format": "xlsx", "filename": "orders.xlsx", "columns": columns, "expected_rows": rows},
        )
        return str(task["task_id"])

    def push_orders(self, task_id: str, rows: int, progress: Callable[[int], object]) -> Sent:
        """Send every batch, out of order, some twice, by several senders at once."""
        batches = -(-rows // BATCH_ROWS)
        started = CLOCK.monotonic()
        order: SimpleQueue[int] = SimpleQueue()
        for sequence in troubled_order(batches):
            order.put(sequence)

        def push(_: int) -> int:
            return sum(self._push_some(task_id, rows, order, progress))

        with ThreadPoolExecutor(SENDERS) as senders:
            replayed = sum(senders.map(push, range(SENDERS)))
        return Sent(rows, batches, replayed, CLOCK.monotonic() - started)

    def _push_some(
        self, task_id: str, rows: int, order: SimpleQueue[int], progress: Callable[[int], object]
    ) -> Iterator[int]:
        """Send batches until there are none left; yields 1 for each that the service had already."""
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        try:
            while (sequence := _next(order)) is not None:
                answer = self._call(
                    connection, "PUT", f"/v1/exports/{task_id}/batches/{sequence}", order_body(sequence, rows)
                )
                progress(0 if answer["replayed"] else answer["rows"])
                yield int(answer["replayed"])
        finally:
            connection.close()

    def wait(self, task_id: str, progress: Callable[[Mapping[str, Any]], object]) -> dict[str, Any]:
        """Follow a task until it has ended."""
        while True:
            task = self.request("GET", f"/v1/exports/{task_id}?wait=1")
            progress(task)
            if task["state"] in TERMINAL:
                return task

    def _call(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> dict[str, Any]:
        kind = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body, {**self._headers, **kind})
        answer = connection.getresponse()
        content = json.loads(answer.read() or b"{}")
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path.partition('?')[0]}: {content.get('code')}: {content.get('detail')}")
        return dict(content)

    def download(self, task_id: str, target: Path) -> None:
        """Fetch the file through a fresh link."""
        link = self.request("GET", f"/v1/exports/{task_id}/file?redirect=false")
        fetch(str(link["url"]), target)


def fetch(url: str, target: Path) -> None:
    """Save what a link serves."""
    _, _, address, path = url.split("/", 3)
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/" + path)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the link answered {answer.status}")
        with target.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    finally:
        connection.close()


def order_body(sequence: int, rows: int) -> bytes:
    """Batch ``sequence`` of the order table as a JSON array of rows."""
    first = (sequence - 1) * BATCH_ROWS
    columns = order_columns(first, min(first + BATCH_ROWS, rows))
    return json.dumps(list(zip(*columns, strict=True)), ensure_ascii=False).encode()


def _next(order: SimpleQueue[int]) -> int | None:
    try:
        return order.get_nowait()
    except Empty:
        return None
