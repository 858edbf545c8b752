"""How rows lie in the stores does not change by accident: what a release before stored is read, and stored the same.

``vectors/task-rows-v1.json`` was made by a release whose rows held parameters, sheets and warnings as the text they are
stored as, by the function ``live`` below.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.emulators.tablestore import serving_tablestore
from sluice.adapters.aliyun.tablestore.client import TablestoreClient
from sluice.adapters.aliyun.tablestore.rows import task_key
from sluice.adapters.aliyun.tablestore.schema import LIVE_SHARDS
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.task_columns import decode_task, encode_task
from sluice.domain.errors import SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.contracts.task_builder import a_task, params_called
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.tablestore_tables import TIMEOUT_S, access_to, open_tasks

ADDED: dict[str, object] = {
    "upkeep_failures": 0, "upkeep_error": "", "strikes": 0, "deaths": 0, "died_at": "",
    "result_of": "", "content_sha": "", "shared_with": "", "room_needed": 0, "renders": "", "full_since": 0.0,
    "first_sequence": 1, "cursor": "", "read_from": 0.0, "read_until": 0.0, "read_at": 0.0, "readings": "",
    "rows_filtered": 0,
}  # fmt: skip
"""Columns that rows have since, with what a new row has in them; they come behind all others.

In Tablestore they also have ``listed_params``, for the rows of the vector as the vector has it beside them.
"""
VECTOR = Path(__file__).parents[1] / "vectors/task-rows-v1.json"
TENANT = TenantId("acme")
PLAIN = ExportParams(
    format=ExportFormat.CSV,
    filename="报表",
    columns=(
        ColumnSpec("id", ColumnType.NUMBER),
        ColumnSpec('名称 "\\'),
        ColumnSpec("at", ColumnType.DATETIME, format="yyyy-mm-dd"),
    ),
    options=ExportOptions(csv_delimiter=";"),
    expected_rows=2,
)
ANNOUNCED_ONE = msgspec.structs.replace(PLAIN, expected_rows=1)
SHEETS = ExportParams(
    format=ExportFormat.XLSX,
    filename="shop.xlsx",
    sheets=(TableSpec("orders", (ColumnSpec("a"),)), TableSpec("空", (ColumnSpec("b"), ColumnSpec("c")))),
)


def live(ports: Ports, clock: FakeClock) -> dict[str, TaskRef]:
    """Tasks at every stage of a life, by the use cases."""
    refs: dict[str, TaskRef] = {}
    cache = ParamsCache(ports)

    def opened(name: str, params: ExportParams) -> TaskRef:
        clock.advance(1)
        request = OpenRequest(params, idempotency_key=name, request_id=f"request {name}", trace_parent="trace")
        refs[name] = open_export(ports, TENANT, request).task.ref
        return refs[name]

    def sealed(name: str, params: ExportParams, *batches: tuple[int, list[tuple[str, ...]]]) -> TaskRef:
        ref = opened(name, params)
        for sequence, (sheet, rows) in enumerate(batches, start=1):
            batch = Batch.of_rows(rows, len(params.tables[sheet].columns))
            put_batch(ports, cache, ref, sequence=sequence, batch=batch, sheet=sheet)
        close_export(ports, ref, CloseRequest())
        return ref

    def composed(ref: TaskRef) -> None:
        task = ports.tasks.read(ref)
        assert task is not None
        compose_export(ports, ManifestRef(ref, task.man_sha))

    opened("buried", PLAIN)
    clock.advance(ports.timings.open_max_s + 1)
    for _ in range(6):
        sweep_tasks(ports)
        clock.advance(1 + ports.timings.gc_delays_s[-1])
    opened("open", PLAIN)
    sealed("sealed", ANNOUNCED_ONE, (0, [("1", "x", "2025-01-02T03:04:05.678")]))
    sealed("sealed sheets", SHEETS, (1, [("b", "c")]), (0, [("a",), ("a",)]))
    composed(sealed("completed", ANNOUNCED_ONE, (0, [("1", "x", "2025-01-02T03:04:05")])))
    composed(sealed("warned", PLAIN, (0, [("1", "=1+1", ""), ("2", "-x", "")])))
    composed(sealed("completed sheets", SHEETS, (1, [("b", "c")])))
    again = RenderRequest(ExportFormat.XLSX, idempotency_key="r")
    refs["rendered"] = render_again(ports, refs["warned"], again).task.ref
    return refs


def known() -> dict[str, Any]:
    vector: dict[str, Any] = json.loads(VECTOR.read_text())
    return vector


def check_tasks(read: Callable[[TaskRef], Task | None]) -> None:
    """The rows of the vector mean what they meant."""
    tasks: dict[str, Task] = {}
    for name, task_id in known()["refs"].items():
        task = read(TaskRef(TENANT, task_id))
        assert task is not None
        tasks[name] = task
    params = {name: task.params for name, task in tasks.items()}
    assert params.pop("buried") is None
    rendered = params.pop("rendered")
    assert rendered is not None
    assert (rendered.format, rendered.source_task) == (ExportFormat.XLSX, tasks["warned"].task_id)
    plain = msgspec.structs.replace(PLAIN, filename="报表.csv")
    assert params == {name: SHEETS if "sheets" in name else plain for name in params}
    sheet_rows = {name: task.sheet_rows for name, task in tasks.items() if task.sheet_rows}
    assert sheet_rows == {"sealed sheets": (2, 1), "completed sheets": (0, 1)}
    warnings = {name: task.warnings for name, task in tasks.items() if task.warnings}
    assert warnings == {"warned": {"formula_guarded": 2}}
    assert {name: task.state for name, task in tasks.items()} == {
        "buried": State.EXPIRED,
        "open": State.OPEN,
        "sealed": State.SEALED,
        "sealed sheets": State.SEALED,
        "completed": State.COMPLETED,
        "warned": State.COMPLETED,
        "completed sheets": State.COMPLETED,
        "rendered": State.SEALED,
    }


def test_a_task_file_of_the_release_before_is_read(tmp_path: Path) -> None:
    path, vector = tmp_path / "tasks.sqlite3", known()["sqlite"]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for declaration in vector["declared"]:
            db.execute(declaration)
        for row in vector["tasks"].values():
            db.execute(f"INSERT INTO tasks VALUES ({', '.join('?' * len(row))})", row)
        db.execute("PRAGMA user_version = 1")
    with closing(SqliteTasks(path, synchronous="OFF")) as tasks:
        check_tasks(tasks.read)


def test_rows_of_the_release_before_are_read_from_tablestore() -> None:
    rows = known()["tablestore"]
    check_tasks(lambda ref: decode_task(rows[ref.task_id]))


def test_a_task_file_is_written_as_the_release_before_wrote_it(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "tasks.sqlite3"
    with closing(SqliteTasks(path, synchronous="OFF")) as tasks:
        refs = live(replace(memory_ports(clock), tasks=tasks), clock)
    with closing(sqlite3.connect(path)) as db:
        declared = [text for (text,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]
        rows = {row[1]: list(row) for row in db.execute("SELECT * FROM tasks")}
    assert {name: ref.task_id for name, ref in refs.items()} == known()["refs"]
    since = ("tasks_moving", "tasks_resting")  # indexes in the place of tasks_due
    older = [without_added(text) for text in declared if not any(name in text for name in since)]
    assert older == [text for text in known()["sqlite"]["declared"] if "INDEX tasks_due " not in text]
    names = Task.__struct_fields__
    assert names[-len(ADDED) :] == tuple(ADDED)
    check_stored(
        {task_id: dict(zip(names, row, strict=True)) for task_id, row in rows.items()},
        {
            task_id: dict(zip(names[: -len(ADDED)], row, strict=True))
            for task_id, row in known()["sqlite"]["tasks"].items()
        },
    )


def without_added(declaration: str) -> str:
    """A table's declaration without the columns it has since."""
    for name in ADDED:
        declaration = re.sub(rf', "{name}" [^,]*(?=,)', "", declaration)
    return declaration


def test_rows_are_written_to_tablestore_as_the_release_before_wrote_them() -> None:
    with serving_tablestore() as ots:
        clock, tasks = FakeClock(), open_tasks(ots)
        refs = live(replace(memory_ports(clock), tasks=tasks), clock)
        client = TablestoreClient(access_to(ots), timeout_s=TIMEOUT_S)
        rows = {ref.task_id: client.read(task_key(ref)) for ref in refs.values()}
        tasks.close()
        client.close()
    expected = {
        task_id: row | {"listed_params": known()["listed_params"][task_id]}
        for task_id, row in known()["tablestore"].items()
    }
    for row in expected.values():
        if row["state"] in {State.SEALED, State.COMPOSING}:  # which have shards of their own since
            row["due_shard"] = LIVE_SHARDS[row["due_shard"]]
    check_stored({task_id: row.columns for task_id, row in rows.items() if row}, expected)


def check_stored(stored: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> None:
    """Every column as it was, of the type it had, but for what depends on the bytes that a writer makes."""

    def typed(row: dict[str, Any]) -> dict[str, object]:
        made = {"result_size", "result_crc64", "result_sha256", "content_sha"}
        return {name: (type(value), value) for name, value in row.items() if name not in made}

    assert stored.keys() == expected.keys()
    source, render = known()["refs"]["warned"], known()["refs"]["rendered"]
    for task_id, row in expected.items():
        # A render is listed in the row of its source, by one more change of it.
        listed = {"rev": row["rev"] + 1, "renders": f'{{"{render}":{expected[render]["created_at"]}}}'}
        assert typed(stored[task_id]) == typed(as_announced(row) | ADDED | (listed if task_id == source else {}))


def as_announced(row: dict[str, Any]) -> dict[str, Any]:
    """Of the vector's rows two announced two rows and have one, which a close refuses since: they announce one."""
    if row["rows_received"] != 1 or '"expected_rows":2' not in row["params"]:
        return row
    texts = {name: row[name] for name in ("params", "listed_params") if name in row}
    texts = {name: text.replace('"expected_rows":2', '"expected_rows":1') for name, text in texts.items()}
    return row | texts | {"params_sha": hashlib.sha256(texts["params"].encode()).hexdigest()}


def test_a_row_that_is_read_again_while_it_is_in_use_is_not_decoded_again(tmp_path: Path) -> None:
    """Who waits for a task of 16,384 columns reads it every second."""
    wide = msgspec.structs.replace(PLAIN, columns=tuple(ColumnSpec(str(number)) for number in range(1_000)))
    with closing(SqliteTasks(tmp_path / "tasks.sqlite3", synchronous="OFF")) as tasks:
        task = a_task(params=wide)
        tasks.create(task)
        first, second = tasks.read(task.ref), tasks.read(task.ref)
        assert first is not None
        assert second is not None
        assert first.params == wide
        assert second.params is first.params
        shared = weakref.ref(first.live_params)
        del first, second
        assert shared() is None, "it is kept for as long as it is used"


def test_parameters_of_one_digest_that_differ_are_told_apart(tmp_path: Path) -> None:
    with closing(SqliteTasks(tmp_path / "tasks.sqlite3", synchronous="OFF")) as tasks:
        made = [a_task(name, params=params_called(name)) for name in ("one", "two")]
        assert len({task.params_sha for task in made}) == 1
        for task in made:
            tasks.create(task)
        assert [tasks.read(task.ref) for task in made] == made


@pytest.mark.parametrize(
    "damage",
    [
        {"params": "{"},
        {"params": '{"format":"doc"}'},
        {"sheet_rows": '["a"]'},
        {"warnings": "[]"},
        {"shared_with": "[]"},
    ],
)
def test_a_damaged_text_is_refused_and_not_guessed(damage: dict[str, str]) -> None:
    with pytest.raises(SluiceError, match="TASK_DAMAGED"):
        decode_task(encode_task(a_task()) | damage)
