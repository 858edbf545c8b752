"""A row that this release cannot read: it is named, and keeps no other from being listed, swept, walked or read."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from infra.emulators.tablestore import serving_tablestore
from sluice.adapters.aliyun.tablestore.client import Change, TablestoreClient
from sluice.adapters.aliyun.tablestore.conditions import any_row
from sluice.adapters.aliyun.tablestore.rows import task_key
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.task_columns import Value
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, chunk_key, result_key
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.task_store import TaskStore
from sluice.usecases.reading.make_link import make_link
from sluice.usecases.reading.read_task import list_exports, read_status
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.collect_garbage import collect_garbage
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.repair_task import verify_result
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, Swept, sweep_tasks
from tests.contracts.task_builder import NOW, TENANT, a_task, params_called
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.tablestore_tables import TIMEOUT_S, access_to, open_tasks

DAMAGES: list[tuple[str, Value]] = [
    ("state", "asleep"),
    ("params", "{"),
    ("warnings", "[1]"),
    ("sheet_rows", "x"),
    ("sheet_rows", "[1]"),
]
NO_TIMES: list[Value] = [9e18, 1e300, -1.0, -1e300, 253_402_300_800.0, "x"]
DAMAGES += [(column, value) for column in ("created_at", "sealed_at", "expires_at") for value in NO_TIMES]
DAY_S = 24 * 3600


class SqliteFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.tasks = SqliteTasks(path, synchronous="OFF")

    def close(self) -> None:
        self.tasks.close()

    def damage(self, ref: TaskRef, column: str, value: Value | bytes) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            db.execute(f"UPDATE tasks SET {column} = ? WHERE task_id = ?", (value, ref.task_id))


class Table:
    def __init__(self, client: TablestoreClient, tasks: TaskStore) -> None:
        self._client = client
        self.tasks = tasks

    def damage(self, ref: TaskRef, column: str, value: Value | bytes) -> None:
        """The parameters lie in a row twice: whole, and as lists show them."""
        assert not isinstance(value, bytes)
        columns = [column, "listed_params"] if column == "params" else [column]
        self._client.update(task_key(ref), Change(dict.fromkeys(columns, value)), any_row())


Damageable = SqliteFile | Table


@pytest.fixture(params=["sqlite", "tablestore"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Damageable]:
    if request.param == "sqlite":
        made = SqliteFile(tmp_path / "tasks.sqlite3")
        yield made
        made.close()
        return
    with serving_tablestore() as ots:
        tasks, client = open_tasks(ots), TablestoreClient(access_to(ots), timeout_s=TIMEOUT_S)
        yield Table(client, tasks)
        tasks.close()
        client.close()


def fill(store: Damageable, *, due_at: float = NOW + DAY_S) -> list[TaskRef]:
    """Five open tasks, newest first."""
    refs = []
    for number in range(5):
        task = a_task(str(number), created_at=NOW + number, due_at=due_at + number)
        assert store.tasks.create(task)
        refs.append(task.ref)
    return refs[::-1]


@pytest.mark.parametrize(("column", "value"), DAMAGES)
def test_a_list_shows_what_it_can_and_names_what_it_cannot(
    store: Damageable, column: str, value: Value | bytes
) -> None:
    refs = fill(store)
    ports = replace(memory_ports(FakeClock()), tasks=store.tasks)
    for place in (1, 2):
        store.damage(refs[place], column, value)
    listed, damaged, cursor = list[str](), set[str](), ""
    while True:
        page = list_exports(ports, TENANT, limit=1, cursor=cursor)
        listed += [task.task_id for task in page.tasks]
        damaged |= set(page.damaged)
        cursor = page.cursor
        if not cursor:
            break
    assert listed == [refs[place].task_id for place in (0, 3, 4)]
    assert damaged == {refs[place].task_id for place in (1, 2)}
    with pytest.raises(SluiceError) as refused:
        read_status(ports, refs[1])
    assert refused.value.code is ErrorCode.TASK_DAMAGED


@pytest.mark.parametrize("value", [math.inf, -math.inf, b"\x80"])
@pytest.mark.parametrize("column", ["created_at", "expires_at"])
def test_a_list_does_so_for_values_that_sqlite_alone_takes(tmp_path: Path, column: str, value: float | bytes) -> None:
    with closing(SqliteFile(tmp_path / "tasks.sqlite3")) as file:
        test_a_list_shows_what_it_can_and_names_what_it_cannot(file, column, value)


def test_a_scan_goes_on_behind_rows_that_cannot_be_read(store: Damageable) -> None:
    refs = fill(store)
    for ref in refs[:2]:
        store.damage(ref, "state", "asleep")
    damaged: list[TaskRef] = []
    assert {task.ref for task in store.tasks.scan(damaged.append)} == set(refs[2:])
    assert set(damaged) == set(refs[:2])


def test_a_sweep_moves_on_what_is_due_behind_a_row_that_it_cannot_read(store: Damageable) -> None:
    clock = FakeClock(NOW + 100)
    refs = fill(store, due_at=NOW - 10)
    ports = replace(memory_ports(clock), tasks=store.tasks)
    poison = refs[-1]
    store.damage(poison, "state", "asleep")
    memory = SweepMemory(trusts_clock=True)
    assert sweep_tasks(ports, limit=5, memory=memory) == {Swept.ERROR: 1, Swept.IDLE_EXPIRED: 4}
    assert len(memory) == 1
    # the damage is mended, and the task goes on by itself
    store.damage(poison, "state", "open")
    clock.advance(ports.timings.backoff_max_s)
    assert sweep_tasks(ports, memory=memory)[Swept.IDLE_EXPIRED] == 1
    assert len(memory) == 0


def test_a_walk_names_the_row_and_keeps_its_objects(store: Damageable) -> None:
    clock = FakeClock(NOW)
    refs = fill(store, due_at=NOW + 90 * DAY_S)
    ports = replace(memory_ports(clock), tasks=store.tasks)
    keys = [chunk_key(ref, 1, "0" * 32) for ref in (refs[1], a_task("none").ref)]
    for key in keys:
        ports.objects.put(key, b"x")
    store.damage(refs[1], "state", "asleep")
    clock.advance(30 * DAY_S)
    report = reconcile_stores(ports)
    assert (report.rows_damaged, report.rows, report.orphans_removed) == ([refs[1].task_id], 4, 1)
    assert [item.key for item in ports.objects.list("in/")] == keys[:1]


def completed(store: Damageable) -> TaskRef:
    params = msgspec.structs.replace(params_called("a.csv"), columns=(ColumnSpec("a"),))
    task = a_task("completed", params=params, state=State.COMPLETED, man_sha="0" * 32, expires_at=NOW + 9 * DAY_S)
    key = result_key(task.ref, epoch=1, nonce="0" * 16, extension="csv")
    assert store.tasks.create(msgspec.structs.replace(task, result_key=key))
    return task.ref


@pytest.mark.parametrize(
    "value", ["", "x", "../x", "out/v1/00/acme/b", chunk_key(a_task("completed").ref, 1, "0" * 32)]
)
def test_a_completed_row_that_names_no_file_of_its_own_is_damaged(store: Damageable, value: str) -> None:
    ref = completed(store)
    ports = replace(memory_ports(FakeClock(NOW)), tasks=store.tasks)
    assert make_link(ports, ref).url
    store.damage(ref, "result_key", value)
    ports.objects.put(result_key(ref, epoch=1, nonce="0" * 16, extension="csv"), b"the file")
    task = store.tasks.read(ref)
    assert task is not None
    for read in (
        lambda: make_link(ports, ref),
        lambda: verify_result(ports, ref),
        lambda: collect_garbage(ports, task),
    ):
        with pytest.raises(SluiceError) as refused:
            read()
        assert (refused.value.code, refused.value.facts) == (ErrorCode.TASK_DAMAGED, {"column": "result_key"})
    assert reconcile_stores(ports).rows_damaged == [ref.task_id]
    assert len(list(ports.objects.list("out/"))) == 1, "what the row may have named is kept"


@pytest.mark.parametrize(("column", "value"), [("man_sha", ""), ("man_sha", "../x"), ("man_sha", "é"), ("params", "")])
def test_a_row_without_its_manifest_or_parameters_is_not_rendered(store: Damageable, column: str, value: str) -> None:
    ref = completed(store)
    ports = replace(memory_ports(FakeClock(NOW)), tasks=store.tasks)
    store.damage(ref, column, value)
    with pytest.raises(SluiceError) as refused:
        render_again(ports, ref, RenderRequest(ExportFormat.JSONL))
    assert (refused.value.code, refused.value.facts) == (ErrorCode.TASK_DAMAGED, {"column": column})


def test_a_row_that_cannot_be_read_is_not_written_by_a_guess(store: Damageable) -> None:
    refs = fill(store)
    store.damage(refs[0], "state", "asleep")
    for state in State:
        assert not store.tasks.update(refs[0], Guard(state=state), {"due_at": NOW})
