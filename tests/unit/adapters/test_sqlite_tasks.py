"""What SQLite adds to the contract of task stores: what things cost, and what happens when the disk fails."""

from __future__ import annotations

import gc
import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.lifecycle import Guard
from sluice.domain.task import Attempt, State
from sluice.ports.store_errors import OutcomeUnknown, StoreFull
from tests.contracts.at_once import at_once
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_task, params_called


@contextmanager
def open_tasks(folder: Path, *, busy_timeout_s: float = 5) -> Iterator[SqliteTasks]:
    with closing(SqliteTasks(folder / "tasks.sqlite3", synchronous="OFF", busy_timeout_s=busy_timeout_s)) as tasks:
        yield tasks


def connection(tasks: SqliteTasks) -> sqlite3.Connection:
    """The connection that a single thread's next call will use."""
    return tasks._connections._idle[-1]


def steps(tasks: SqliteTasks, action: Callable[[], object]) -> int:
    """How many instructions of SQLite's virtual machine ``action`` takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection(tasks).set_progress_handler(step, 1)
    action()
    connection(tasks).set_progress_handler(None, 1)
    return count


def statements(tasks: SqliteTasks, action: Callable[[], object]) -> list[str]:
    """What ``action`` asks of SQLite, values filled in."""
    seen: list[str] = []
    connection(tasks).set_trace_callback(seen.append)
    action()
    connection(tasks).set_trace_callback(None)
    return [statement for statement in seen if not statement.startswith(("BEGIN", "COMMIT"))]


def plan(path: Path, statement: str) -> str:
    with closing(sqlite3.connect(path)) as db:
        return "; ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}"))


def test_what_a_call_costs_does_not_depend_on_the_number_of_claims(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        few, many = a_task("few"), a_task("many")
        for task in (few, many):
            tasks.create(task)
            tasks.claim(task.ref, a_claim(1), at=NOW, due_at=NOW)
        for sequence in range(2, 5001):
            tasks.claim(many.ref, a_claim(sequence), at=NOW, due_at=NOW)
        calls: list[Callable[[Any], object]] = [
            tasks.read,
            lambda ref: tasks.read_claim(ref, 1),
            lambda ref: tasks.claim(ref, a_claim(9999), at=NOW, due_at=NOW),
            lambda ref: tasks.claim(ref, a_claim(1), at=NOW, due_at=NOW),
            lambda ref: tasks.update(ref, Guard(state=State.OPEN), {"owner": "me"}),
        ]
        for call in calls:
            assert steps(tasks, partial(call, few.ref)) == steps(tasks, partial(call, many.ref))


def test_reading_a_row_does_not_touch_its_claims(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create(a_task())
        tasks.claim(a_task().ref, a_claim(1), at=NOW, due_at=NOW)
        (statement,) = statements(tasks, lambda: tasks.read(a_task().ref))
        assert "claims" not in statement


def test_every_query_goes_through_an_index_and_sorts_nothing(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        for number in range(5):
            tasks.create(a_task(str(number), created_at=NOW + number))
        ref = a_task("0").ref
        cursor = tasks.page(TENANT, state=None, limit=2, cursor="").cursor
        calls: list[Callable[[], object]] = [
            lambda: tasks.read(ref),
            lambda: tasks.read_claims(ref),
            lambda: tasks.page(TENANT, state=None, limit=2, cursor=""),
            lambda: tasks.page(TENANT, state=None, limit=2, cursor=cursor),
            lambda: tasks.page(TENANT, state=State.OPEN, limit=2, cursor=""),
            lambda: tasks.page(TENANT, state=State.OPEN, limit=2, cursor=cursor),
            lambda: tasks.count(TENANT, State.OPEN),
            lambda: tasks.due(NOW, limit=2, latest=NOW),
            lambda: list(tasks.scan()),
            lambda: tasks.claim(ref, a_claim(1), at=NOW, due_at=NOW),
            lambda: tasks.update(ref, Guard(state=State.OPEN, rev=1), {"owner": "me"}),
            lambda: tasks.read_attempts(ref),
            lambda: tasks.forget_claims(ref),
            lambda: tasks.remove(ref, Guard(state=State.OPEN)),
        ]
        asked = [statement for call in calls for statement in statements(tasks, call)]
        plans = {statement: plan(tmp_path / "tasks.sqlite3", statement) for statement in asked}
    assert len(plans) >= len(calls)
    assert {s: p for s, p in plans.items() if "SCAN tasks" in p or "SCAN claims" in p or "TEMP B-TREE" in p} == {}
    assert sum(("USING" in p and "INDEX" in p) or "PRIMARY KEY" in p for p in plans.values()) >= len(calls)


def test_a_file_is_in_write_ahead_mode_and_synced_at_every_commit_unless_told_otherwise(tmp_path: Path) -> None:
    with closing(SqliteTasks(tmp_path / "tasks.sqlite3")) as tasks:
        assert connection(tasks).execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection(tasks).execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_another_process_holds_for_too_long_is_unknown(tmp_path: Path) -> None:
    with open_tasks(tmp_path, busy_timeout_s=0.01) as tasks:
        tasks.create(a_task())
        with closing(sqlite3.connect(tmp_path / "tasks.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writes: list[Callable[[], object]] = [
                lambda: tasks.create(a_task("two")),
                lambda: tasks.claim(a_task().ref, a_claim(1), at=NOW, due_at=NOW),
                lambda: tasks.update(a_task().ref, Guard(state=State.OPEN), {"owner": "me"}),
                lambda: tasks.remove(a_task().ref, Guard(state=State.OPEN)),
                lambda: tasks.forget_claims(a_task().ref),
                lambda: tasks.log_attempt(a_task().ref, Attempt(epoch=1, owner="me", started_at=NOW)),
            ]
            for write in writes:
                with pytest.raises(OutcomeUnknown, match="SQLITE_BUSY"):
                    write()
            assert tasks.read(a_task().ref) == a_task(), "readers do not wait for writers"
        assert tasks.create(a_task("two")), "the store works again"


def test_a_thread_does_not_wait_for_ever_for_another(tmp_path: Path) -> None:
    with open_tasks(tmp_path, busy_timeout_s=0.01) as tasks, ThreadPoolExecutor(1) as pool:
        with tasks._connections.writing(), pytest.raises(OutcomeUnknown):
            pool.submit(tasks.create, a_task()).result()
        assert tasks.create(a_task())


def test_a_full_disk_is_refused_as_such_and_changes_nothing(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create(a_task())
        pages = connection(tasks).execute("PRAGMA page_count").fetchone()[0]
        connection(tasks).execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFull):
            tasks.create(a_task("large", params=params_called(random.Random(1).randbytes(50_000).hex())))
        assert tasks.read(a_task("large").ref) is None
        assert tasks.read(a_task().ref) == a_task()
        assert tasks.create(a_task("large", params=params_called(random.Random(1).randbytes(50_000).hex()))), (
            "the store works again once there is room"
        )


def test_a_folder_that_does_not_exist_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown, match="SQLITE_CANTOPEN"):
        SqliteTasks(tmp_path / "missing" / "tasks.sqlite3")


def test_a_mistake_of_ours_is_not_taken_for_a_failing_disk(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        connection(tasks).execute("DROP TABLE claims")
        with pytest.raises(sqlite3.OperationalError):
            tasks.forget_claims(a_task().ref)


def test_an_error_in_the_middle_of_a_change_leaves_nothing_of_it(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create(a_task())
        connection(tasks).execute("CREATE TRIGGER broken BEFORE INSERT ON claims BEGIN SELECT raise(ABORT, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError):
            tasks.claim(a_task().ref, a_claim(1), at=NOW, due_at=NOW)
        assert tasks.read(a_task().ref) == a_task()


def test_a_field_that_no_transition_may_set_is_refused(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        tasks.create(a_task())
        fields: Any = {"rev": 7}
        with pytest.raises(ValueError):
            tasks.update(a_task().ref, Guard(state=State.OPEN), fields)
        assert tasks.read(a_task().ref) == a_task()


def test_connections_are_lent_again_and_not_more_than_threads_at_once(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        for _ in range(5):
            at_once(8, lambda index: tasks.create(a_task(str(index))))
        assert len(tasks._connections._idle) <= 8


def test_a_scan_keeps_no_transaction_open(tmp_path: Path) -> None:
    with open_tasks(tmp_path) as tasks:
        for number in range(3):
            tasks.create(a_task(str(number)))
        rows = tasks.scan()
        next(rows)
        assert not connection(tasks).in_transaction
        assert len(list(rows)) == 2


@pytest.mark.slow
def test_closing_leaves_one_file_and_no_open_connection(tmp_path: Path) -> None:
    tasks = SqliteTasks(tmp_path / "tasks.sqlite3", synchronous="OFF")
    at_once(4, lambda index: tasks.create(a_task(str(index))))
    tasks.close()
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.sqlite3"]
    with pytest.raises(RuntimeError):
        tasks.read(a_task().ref)
    tasks.close()


def test_rows_are_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for turn in range(2):
        with open_tasks(tmp_path) as tasks:
            assert tasks.create(a_task()) == (turn == 0)
            assert tasks.claim(a_task().ref, a_claim(1), at=NOW, due_at=NOW) == (turn == 0)
