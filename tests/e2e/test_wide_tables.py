"""Lists and waits cost the same however wide the tables are, and a caller that went away costs nothing more."""

from __future__ import annotations

import socket
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.api.http.operation import WORKERS_OF_TENANT
from sluice.domain.keys import TaskRef
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams, _Listed
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.task import Task
from sluice.ports.task_store import TaskStore
from tests.contracts.task_builder import TENANT, a_task
from tests.support.http_client import HttpRelay, http_relay
from tests.support.watched_stores import CountedCalls

WAIT_S = 60
COLUMNS = tuple(ColumnSpec(f"column {number}") for number in range(16_000))


def test_a_page_of_wide_tables_holds_no_column(tmp_path: Path) -> None:
    tasks = SqliteTasks(tmp_path / "tasks.sqlite3")
    one = ExportParams(format=ExportFormat.CSV, filename="a.csv", columns=COLUMNS)
    several = ExportParams(format=ExportFormat.XLSX, filename="a.xlsx", sheets=(TableSpec("Orders", COLUMNS),))
    for name, params in (("one", one), ("several", several)):
        tasks.create(msgspec.structs.replace(a_task(name), params=params, params_sha=params.digest()))
    listed = tasks.page(TENANT, state=None, limit=10, cursor="").tasks
    tasks.close()
    found = {task.params.filename: task.params for task in listed if task.params}
    assert found == {params.filename: params.without_columns() for params in (one, several)}


@pytest.mark.parametrize("shape", ["one table", "four sheets", "damaged"])
def test_lists_and_walks_hold_few_wide_rows_at_a_time(tmp_path: Path, shape: str) -> None:
    tasks = SqliteTasks(tmp_path / "tasks.sqlite3", synchronous="OFF")
    sheets = tuple(TableSpec(f"sheet {number}", COLUMNS[:4_000]) for number in range(4))
    tables = {"sheets": sheets} if shape == "four sheets" else {"columns": COLUMNS}
    params = ExportParams(format=ExportFormat.XLSX, filename="a.xlsx", **tables)
    row_bytes, rows = len(params.encode()), 60
    for number in range(rows):
        tasks.create(msgspec.structs.replace(a_task(str(number)), params=params, params_sha=params.digest()))
    if shape == "damaged":
        with closing(sqlite3.connect(tmp_path / "tasks.sqlite3")) as db, db:
            db.execute("UPDATE tasks SET params = substr(params, 1, length(params) - 1)")
    damaged: list[TaskRef] = []
    tracemalloc.start()
    try:
        page = tasks.page(TENANT, state=None, limit=rows, cursor="")
        page_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        scanned = sum(1 for _ in tasks.scan(damaged.append))
        scan_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        tasks.close()
    assert len(page.tasks) + len(page.damaged) == scanned + len(damaged) == rows
    assert page_peak < row_bytes
    assert scan_peak < rows * row_bytes / 2


def test_a_listing_has_everything_of_the_parameters_but_columns() -> None:
    listed = {field.name: field.default for field in msgspec.structs.fields(_Listed)}
    all_of_them = {field.name: field.default for field in msgspec.structs.fields(ExportParams)}
    assert listed == {name: default for name, default in all_of_them.items() if name != "columns"}


class Watched(CountedCalls):
    """A task store whose reads of a row can be stopped."""

    def __init__(self, target: TaskStore) -> None:
        super().__init__(target)
        self.stopped = threading.Event()
        self.stopped.set()
        self.begun = threading.Semaphore(0)

    def read(self, ref: TaskRef) -> Task | None:
        self.calls.append("read")
        self.begun.release()
        assert self.stopped.wait(WAIT_S)
        found: Task | None = self._target.read(ref)
        return found


def watched(folder: Path, then: Callable[[HttpRelay, Watched], None]) -> None:
    stores: list[Watched] = []

    def watch(tasks: TaskStore) -> Any:
        stores.append(Watched(tasks))
        return stores[0]

    with http_relay(folder, tasks=watch) as relay:
        then(relay, stores[0])


def test_who_waits_for_a_change_reads_the_row_once(tmp_path: Path) -> None:
    def check(relay: HttpRelay, store: Watched) -> None:
        client = relay.client()
        task_id = client.open()
        store.calls.clear()
        assert client.get(f"/v1/exports/{task_id}?wait=1.5").status_code == 200
        assert store.calls.count("read") == 1
        assert store.calls.count("read_rev") >= 2

    watched(tmp_path, check)


def test_reads_of_callers_that_went_away_are_not_begun(tmp_path: Path) -> None:
    def check(relay: HttpRelay, store: Watched) -> None:
        client = relay.client()
        task_id = client.open()
        threads = WORKERS_OF_TENANT
        key = client.headers["Authorization"]
        head = f"GET /v1/exports/{task_id} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n"
        store.calls.clear()
        store.stopped.clear()
        with ExitStack() as stack:
            for _ in range(threads):
                stack.enter_context(socket.create_connection(("127.0.0.1", relay.port))).sendall(head.encode())
            for _ in range(threads):
                assert store.begun.acquire(timeout=WAIT_S)
            waiting = relay.app.state.resources.worker_turns[client.tenant].statistics
            for count in range(1, 51):
                with socket.create_connection(("127.0.0.1", relay.port)) as gone:
                    gone.sendall(head.encode())
                    while waiting().tasks_waiting < count:
                        pass
            store.stopped.set()
            assert client.get(f"/v1/exports/{task_id}", timeout=WAIT_S).status_code == 200
        assert store.calls.count("read") <= threads + 1

    watched(tmp_path, check)
