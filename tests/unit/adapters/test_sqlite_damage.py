"""A row that lost bits is TASK_DAMAGED for who asks for it, and no other row's affair; SQLite has no checksums."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.errors import SluiceError
from sluice.domain.keys import TaskRef
from sluice.domain.task import Attempt, Task
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_task

DAMAGES = {"no UTF-8": "CAST(x'ff41' AS TEXT)", "bytes": "x'00ff'", "a text in a number": "'x'"}
COLUMNS = tuple(name for name in Task.__struct_fields__ if name not in {"tenant", "task_id"})


class Damaged:
    """Three tasks in a file, of which one is damaged by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks = SqliteTasks(path, synchronous="OFF")
        self.refs = [a_task(name).ref for name in "abc"]
        for name in "abc":
            self.tasks.create(a_task(name))

    def spoil(self, column: str, damage: str, *, table: str = "tasks") -> TaskRef:
        ref = self.refs[1]
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            changed = db.execute(f'UPDATE {table} SET "{column}" = {damage} WHERE task_id = ?', (ref.task_id,))
            assert changed.rowcount == 1
        return ref


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Damaged]:
    made = Damaged(tmp_path / "tasks.sqlite3")
    with closing(made.tasks):
        yield made


def is_refused(tasks: SqliteTasks, ref: TaskRef) -> bool:
    try:
        tasks.read(ref)
    except SluiceError as error:
        return error.code.value == "TASK_DAMAGED"
    return False


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("damage", ["no UTF-8", "bytes"])
def test_a_column_that_lost_bits_costs_its_own_row_alone(damaged: Damaged, column: str, damage: str) -> None:
    ref = damaged.spoil(column, DAMAGES[damage])
    others = [one for one in damaged.refs if one != ref]
    assert is_refused(damaged.tasks, ref)
    found: list[TaskRef] = []
    assert {task.ref for task in damaged.tasks.scan(found.append)} == set(others)
    assert found == [ref]
    listed = damaged.tasks.page(TENANT, state=None, limit=10, cursor="")
    assert {task.ref for task in listed.tasks} == set(others)


@pytest.mark.parametrize("column", ["tenant", "task_id"])
@pytest.mark.parametrize("damage", ["no UTF-8", "bytes"])
def test_a_scan_goes_on_behind_a_row_whose_name_is_damaged_and_names_it_by_texts(
    damaged: Damaged, column: str, damage: str
) -> None:
    ref = damaged.spoil(column, DAMAGES[damage])
    found: list[TaskRef] = []
    assert {task.ref for task in damaged.tasks.scan(found.append)} == {one for one in damaged.refs if one != ref}
    assert [list(map(type, one)) for one in found] == [[str, str]]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_claim_is_no_batch(damaged: Damaged, damage: str) -> None:
    ref = damaged.refs[1]
    damaged.tasks.claim(ref, a_claim(1), at=NOW, due_at=NOW)
    damaged.spoil("rows" if damage == "a text in a number" else "sha", DAMAGES[damage], table="claims")
    for read in (lambda: damaged.tasks.read_claims(ref), lambda: damaged.tasks.read_claim(ref, 1)):
        with pytest.raises(SluiceError, match="TASK_DAMAGED"):
            read()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_attempt_is_named(damaged: Damaged, damage: str) -> None:
    ref = damaged.refs[1]
    damaged.tasks.log_attempt(ref, Attempt(epoch=1, owner="o", started_at=NOW))
    damaged.spoil("rows_done" if damage == "a text in a number" else "owner", DAMAGES[damage], table="attempts")
    with pytest.raises(SluiceError, match="TASK_DAMAGED"):
        damaged.tasks.read_attempts(ref)
