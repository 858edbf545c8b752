"""Rows of wide tables take little of the disk, and what they took comes back when they are gone."""

from __future__ import annotations

import sqlite3
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.adapters.sqlite import free_pages
from sluice.adapters.sqlite.packed import UNPACKED_MAX
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.task import Task
from sluice.ports.store_errors import StoreFull
from tests.contracts.task_builder import TENANT, a_task

MIB = 1 << 20
WIDE = tuple(ColumnSpec(f"{number}-{'x' * 80}") for number in range(16_384))


def a_wide_task(name: str = "wide", columns: tuple[ColumnSpec, ...] = WIDE, **more: Any) -> Task:
    params = ExportParams(format=ExportFormat.XLSX, filename=f"{name}.xlsx", columns=columns, **more)
    return msgspec.structs.replace(a_task(name), params=params, params_sha=params.digest())


def opened(path: Path, **how: Any) -> SqliteTasks:
    return SqliteTasks(path / "tasks.sqlite3", synchronous="OFF", **how)


def raw(path: Path, statement: str) -> Any:
    with closing(sqlite3.connect(path / "tasks.sqlite3", isolation_level=None)) as db:
        return db.execute(statement).fetchone()


def size(path: Path) -> int:
    """Bytes of the file and its log."""
    return sum(file.stat().st_size for file in path.glob("tasks.sqlite3*"))


def test_a_wide_definition_takes_a_small_part_of_what_it_says(tmp_path: Path) -> None:
    task = a_wide_task()
    sheets = a_wide_task("sheets", columns=(), sheets=(TableSpec("a", WIDE[:5]), TableSpec("b", WIDE[5:])))
    with closing(opened(tmp_path)) as tasks:
        assert tasks.create(task)
        assert tasks.create(sheets)
        assert tasks.read(task.ref) == task
        assert tasks.read(sheets.ref) == sheets
        assert {found.ref for found in tasks.scan()} == {task.ref, sheets.ref}
        listed = {one.ref: one.params for one in tasks.page(TENANT, state=None, limit=9, cursor="").tasks}
        assert listed == {one.ref: one.live_params.without_columns() for one in (task, sheets)}
    (stored,) = raw(tmp_path, "SELECT max(length(params)) FROM tasks")
    assert stored < len(task.live_params.encode()) / 10


def test_a_definition_is_kept_as_text_where_packing_saves_little_and_where_an_older_release_wrote_it(
    tmp_path: Path,
) -> None:
    small = a_wide_task("small", columns=WIDE[:3])
    old = a_wide_task("old")
    with closing(opened(tmp_path)) as tasks:
        tasks.create(small)
        tasks.create(old)
        assert raw(tmp_path, "SELECT typeof(params) FROM tasks WHERE params LIKE '%small%'") == ("text",)
        assert raw(tmp_path, "SELECT count(*) FROM tasks WHERE typeof(params) = 'blob'") == (1,)
        with closing(sqlite3.connect(tmp_path / "tasks.sqlite3", isolation_level=None)) as db:
            db.execute("UPDATE tasks SET params = ? WHERE typeof(params) = 'blob'", (old.live_params.encode(),))
        assert [tasks.read(one.ref) for one in (small, old)] == [small, old]
        assert len(tasks.page(TENANT, state=None, limit=9, cursor="").tasks) == 2


@pytest.mark.parametrize(
    "damage",
    ["substr(params, 1, length(params) - 9)", "substr(params, 1, 5)", "x'01'", "CAST(x'01' || zeroblob(99) AS BLOB)"],
)
def test_a_packed_definition_that_lost_bits_is_a_damaged_row(tmp_path: Path, damage: str) -> None:
    with closing(opened(tmp_path)) as tasks:
        tasks.create(a_wide_task())
        tasks.create(a_task("other"))
        raw(tmp_path, f"UPDATE tasks SET params = {damage} WHERE typeof(params) = 'blob'")
        with pytest.raises(SluiceError) as refused:
            tasks.read(a_wide_task().ref)
        assert refused.value.code is ErrorCode.TASK_DAMAGED
        page = tasks.page(TENANT, state=None, limit=9, cursor="")
        assert a_task("other").ref in {task.ref for task in page.tasks}


def test_no_more_is_unpacked_than_a_definition_may_be(tmp_path: Path) -> None:
    bomb = b"\x01%08d" % 0 + zlib.compress(bytes(64 * MIB))
    with closing(opened(tmp_path)) as tasks:
        tasks.create(a_wide_task())
        with closing(sqlite3.connect(tmp_path / "tasks.sqlite3", isolation_level=None)) as db:
            db.execute("UPDATE tasks SET params = ?", (bomb,))
        tracemalloc.start()
        try:
            with pytest.raises(SluiceError, match="TASK_DAMAGED"):
                tasks.read(a_wide_task().ref)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * UNPACKED_MAX


def filled(tasks: SqliteTasks) -> None:
    """Write rows of 20 MiB and bury them."""
    made = [msgspec.structs.replace(a_wide_task(str(number)), last_error="x" * 400_000) for number in range(50)]
    for task in made:
        assert tasks.create(task)
    for task in made:
        assert tasks.remove(task.ref, Guard(state=task.state))


@pytest.mark.slow
def test_a_file_gives_back_what_removed_rows_took(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as tasks:
        tasks.create(a_wide_task("stays"))
        filled(tasks)
        assert size(tmp_path) > 20 * MIB
        tasks.give_back_room()
        tasks.create(a_task("next"))
        assert size(tmp_path) < 8 * MIB
        assert tasks.read(a_wide_task("stays").ref) == a_wide_task("stays")
    assert raw(tmp_path, "PRAGMA integrity_check") == ("ok",)


@pytest.mark.slow
def test_a_call_gives_back_a_bounded_part_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.adapters.sqlite.tasks.STEPS_MAX", 2)
    with closing(opened(tmp_path)) as tasks:
        filled(tasks)
        before = free(tmp_path)
        tasks.give_back_room()
        assert free(tmp_path) == before - 2 * free_pages.STEP_PAGES
        for _ in range(before // free_pages.STEP_PAGES):
            tasks.give_back_room()
        assert free(tmp_path) == free_pages.SPARE_PAGES


def free(path: Path) -> int:
    return int(raw(path, "PRAGMA freelist_count")[0])


def older_file(path: Path) -> None:
    """As a release before made it, with free pages."""
    with closing(opened(path)) as tasks:
        tasks.create(a_wide_task("stays"))
    with closing(sqlite3.connect(path / "tasks.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
    with closing(opened(path)) as tasks:
        filled(tasks)
    assert raw(path, "PRAGMA auto_vacuum") == (0,)


@pytest.mark.slow
def test_a_file_of_an_older_release_is_written_anew_and_gives_back_from_then_on(tmp_path: Path) -> None:
    older_file(tmp_path)
    asked: list[int] = []

    def has_room(needed: int) -> bool:
        asked.append(needed)
        return True

    with closing(opened(tmp_path, has_room=has_room)) as tasks:
        before = size(tmp_path)
        tasks.give_back_room()
        assert size(tmp_path) < before / 4
        assert tasks.read(a_wide_task("stays").ref) == a_wide_task("stays")
        filled(tasks)
        tasks.give_back_room()
        tasks.create(a_task("next"))
        assert size(tmp_path) < 8 * MIB
    assert len(asked) == 1
    assert 0 < asked[0] < before


@pytest.mark.slow
def test_an_older_file_stays_as_it_is_where_the_disk_has_no_room_and_says_so_once(tmp_path: Path) -> None:
    older_file(tmp_path)
    with closing(opened(tmp_path, has_room=lambda _: False)) as tasks:
        before = free(tmp_path)
        with pytest.raises(StoreFull, match="bytes must be free to write it anew"):
            tasks.give_back_room()
        tasks.give_back_room()
        assert free(tmp_path) == before
        assert tasks.read(a_wide_task("stays").ref) == a_wide_task("stays")


@pytest.mark.slow
def test_an_older_file_with_very_many_rows_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older_file(tmp_path)
    monkeypatch.setattr("sluice.adapters.sqlite.tasks.CONVERTED_BYTES_MAX", 4096)
    with closing(opened(tmp_path)) as tasks:
        before = free(tmp_path)
        tasks.give_back_room()
        assert free(tmp_path) == before


def test_a_new_task_is_refused_where_there_is_no_room_for_it_and_a_change_of_one_is_not(tmp_path: Path) -> None:
    is_full = [False]

    def check() -> None:
        if is_full[0]:
            raise StoreFull

    task = a_task()
    with closing(opened(tmp_path, check_room=check)) as tasks:
        assert tasks.create(task)
        is_full[0] = True
        calls: list[Callable[[], object]] = [lambda: tasks.create(a_task("more")), lambda: tasks.create(task)]
        for call in calls:
            with pytest.raises(StoreFull):
                call()
        assert tasks.update(task.ref, Guard(state=task.state), {"deleted_at": 1.0})
        assert tasks.remove(task.ref, Guard(state=task.state))
