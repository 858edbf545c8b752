"""The file's tables follow the structs, also in files of other releases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from sluice.adapters.sqlite.schema import prepare
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.task_columns import columns_of
from sluice.domain.manifest import Claim
from sluice.domain.task import Attempt, Task
from sluice.ports.store_errors import NewerSchemaError
from tests.contracts.task_builder import a_full_task, a_task


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def make_file(folder: Path) -> Path:
    """A file with one task."""
    path = folder / "tasks.sqlite3"
    with closing(SqliteTasks(path)) as tasks:
        tasks.create(a_full_task())
    return path


def table_columns(path: Path, table: str) -> list[str]:
    with raw(path) as db:
        return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


@pytest.mark.parametrize(
    ("table", "struct", "owner"),
    [("tasks", Task, []), ("claims", Claim, ["tenant", "task_id"]), ("attempts", Attempt, ["tenant", "task_id"])],
)
def test_a_table_has_a_column_for_every_field(
    tmp_path: Path, table: str, struct: type[msgspec.Struct], owner: list[str]
) -> None:
    assert table_columns(make_file(tmp_path), table) == owner + list(struct.__struct_fields__)


def test_no_column_takes_null(tmp_path: Path) -> None:
    with raw(make_file(tmp_path)) as db:
        for table in ("tasks", "claims", "attempts"):
            assert all(row[3] == 1 for row in db.execute(f"PRAGMA table_info({table})"))


def test_a_column_that_an_older_file_lacks_is_added_with_its_default(tmp_path: Path) -> None:
    path = make_file(tmp_path)
    with raw(path) as db:
        for column in ("trace_parent", "gc_round", "deleted_at"):
            db.execute(f"ALTER TABLE tasks DROP COLUMN {column}")
        db.execute("ALTER TABLE attempts DROP COLUMN error")
    with closing(SqliteTasks(path)) as tasks:
        expected = msgspec.structs.replace(a_full_task(), trace_parent="", gc_round=0, deleted_at=0)
        assert tasks.read(a_full_task().ref) == expected
        assert tasks.create(a_task())
        assert tasks.read_attempts(a_task().ref) == []


def test_a_column_that_only_a_newer_release_knows_does_no_harm(tmp_path: Path) -> None:
    path = make_file(tmp_path)
    with raw(path) as db:
        db.execute("ALTER TABLE tasks ADD COLUMN of_the_future TEXT NOT NULL DEFAULT ''")
    with closing(SqliteTasks(path)) as tasks:
        assert tasks.read(a_full_task().ref) == a_full_task()
        assert tasks.create(a_task())


def test_a_file_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = make_file(tmp_path)
    with raw(path) as db:
        db.execute("PRAGMA user_version = 5")
    with pytest.raises(NewerSchemaError, match="schema 5, this release reads up to 4"):
        SqliteTasks(path)
    with raw(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (5,)


def test_an_older_file_is_upgraded_step_by_step_and_once(tmp_path: Path) -> None:
    path = make_file(tmp_path)
    ran: list[int] = []
    upgrades = [lambda _: ran.append(2), lambda _: ran.append(3)]
    with raw(path) as db:
        db.execute("PRAGMA user_version = 1")
    for known in (1, 2, 2):
        with raw(path) as db:
            db.execute("BEGIN")
            prepare(db, upgrades=upgrades[:known])
            db.execute("COMMIT")
            assert db.execute("PRAGMA user_version").fetchone() == (known + 1,)
    assert ran == [2, 3]


def test_a_file_whose_results_may_be_shared_is_kept_from_a_release_whose_sweeper_would_delete_them(
    tmp_path: Path,
) -> None:
    path = make_file(tmp_path)
    with raw(path) as db, pytest.raises(NewerSchemaError, match="schema 4, this release reads up to 1"):
        prepare(db, upgrades=[])  # what that release knew


def test_a_new_file_needs_no_upgrade() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        prepare(db, upgrades=[lambda _: pytest.fail("upgraded")])
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_field_of_a_kind_without_a_column_type_is_noticed() -> None:
    class Odd(msgspec.Struct):
        tags: list[str]

    with pytest.raises(TypeError, match="tags"):
        columns_of(Odd)
