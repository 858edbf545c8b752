"""Indexes lag and only propose: what a listing shows is what the rows say, and no call is made in vain."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest

from infra.emulators.tablestore import TablestoreServer
from sluice.adapters.aliyun.tablestore.schema import DUE_SHARDS
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.lifecycle import Guard
from sluice.domain.task import Attempt, State, Task
from tests.contracts.task_builder import NOW, TENANT, a_task
from tests.support.tablestore_tables import access_to, freeze_indexes

OPEN = Guard(state=State.OPEN)


def fill(tasks: TablestoreTasks, count: int, **changes: object) -> list[Task]:
    """Make so many tasks, and give them newest first."""
    made = [a_task(f"{changes} {number}", created_at=NOW + number, **changes) for number in range(count)]
    for task in made:
        assert tasks.create(task)
    return made[::-1]


def asked(ots: TablestoreServer, call: Callable[[], object]) -> list[str]:
    """What a call asks of the service, in order."""
    ots.requests.clear()
    call()
    return [request.operation for request in ots.requests]


def test_a_stale_index_shows_no_task_in_a_state_that_it_left(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    made = fill(tasks, 5)
    freeze_indexes(ots, access_to(ots))
    for task in made[1:4]:
        tasks.update(task.ref, OPEN, {"state": State.SEALED})
    page = tasks.page(TENANT, state=State.OPEN, limit=2, cursor="")
    assert (page.tasks, page.cursor) == ([made[0], made[4]], ""), "the page is filled from further down"
    assert [task.state for task in tasks.page(TENANT, state=None, limit=5, cursor="").tasks].count(State.SEALED) == 3


def test_a_stale_index_shows_no_tombstones_and_no_removed_rows(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    made = fill(tasks, 4)
    freeze_indexes(ots, access_to(ots))
    tasks.update(made[0].ref, OPEN, {"params": None})
    tasks.remove(made[2].ref, OPEN)
    for state in (None, State.OPEN):
        assert tasks.page(TENANT, state=state, limit=10, cursor="").tasks == [made[1], made[3]]


def test_tombstones_cost_a_listing_nothing(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    for task in fill(tasks, 3, state=State.EXPIRED):
        tasks.update(task.ref, Guard(state=State.EXPIRED), {"state": State.EXPIRED, "params": None})
    for state in (None, State.EXPIRED):
        asked_for = asked(ots, lambda state=state: tasks.page(TENANT, state=state, limit=10, cursor=""))  # type: ignore[misc]  # binds the loop's value
        assert asked_for == ["GetRange"], "they lie in a part of their own"


def test_tombstones_are_counted(tasks: TablestoreTasks) -> None:
    made = fill(tasks, 3, state=State.EXPIRED)
    tasks.update(made[0].ref, Guard(state=State.EXPIRED), {"state": State.EXPIRED, "params": None})
    assert tasks.count(TENANT, State.EXPIRED) == 3


def test_a_page_costs_two_calls_and_a_count_one(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    fill(tasks, 5)
    assert asked(ots, lambda: tasks.page(TENANT, state=None, limit=3, cursor="")) == ["GetRange", "BatchGetRow"]
    assert asked(ots, lambda: tasks.count(TENANT, State.OPEN)) == ["GetRange"]


def test_what_is_due_costs_one_call_for_each_shard_of_each_kind(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    fill(tasks, 20, due_at=NOW)
    assert asked(ots, lambda: tasks.due(NOW, limit=5)) == ["GetRange"] * 2 * DUE_SHARDS
    assert {request.message.limit for request in ots.requests} == {5}


def test_a_long_page_is_read_in_several_batches(ots: TablestoreServer, tasks: TablestoreTasks) -> None:
    made = fill(tasks, 130)
    ots.requests.clear()
    assert tasks.page(TENANT, state=None, limit=200, cursor="").tasks == made
    assert [request.operation for request in ots.requests] == ["GetRange", "BatchGetRow", "BatchGetRow"]


@pytest.mark.parametrize(
    "position",
    [(NOW, "x"), (NOW, "A" * 26), (NOW, "a" * 2_000), (1e300, "a" * 26), (-1e300, "a" * 26)],
)
def test_a_cursor_that_no_key_of_the_table_can_be_is_refused(
    tasks: TablestoreTasks, position: tuple[float, str]
) -> None:
    """Only our own encoding of an impossible place; the service would refuse it in words for an operator."""
    cursor = base64.urlsafe_b64encode(msgspec.json.encode(position)).decode()
    with pytest.raises(ValueError):
        tasks.page(TENANT, state=None, limit=10, cursor=cursor)


def test_a_removal_that_is_refused_leaves_the_attempts(tasks: TablestoreTasks) -> None:
    (task,) = fill(tasks, 1)
    attempt = Attempt(epoch=1, owner="me", started_at=NOW)
    tasks.log_attempt(task.ref, attempt)
    for guard in (Guard(state=State.SEALED), Guard(state=State.OPEN, rev=1), Guard(state=State.OPEN, epoch=1)):
        assert not tasks.remove(task.ref, guard)
        assert tasks.read_attempts(task.ref) == [attempt]


def test_more_attempts_go_than_one_batch_may_remove(tasks: TablestoreTasks) -> None:
    (task,) = fill(tasks, 1)
    for epoch in range(1, 203):
        tasks.log_attempt(task.ref, Attempt(epoch=epoch, owner="me", started_at=NOW))
    assert tasks.remove(task.ref, OPEN)
    assert tasks.read_attempts(task.ref) == []
