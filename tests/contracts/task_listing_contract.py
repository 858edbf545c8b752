"""What every task store must do when a tenant's tasks are listed and counted."""

from __future__ import annotations

import base64
import random
from functools import partial

import msgspec
import pytest

from sluice.domain.attempts import LeaseEnds
from sluice.domain.keys import TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.task import State, Task
from sluice.ports.task_store import TaskStore
from tests.contracts.opens_tasks import OpensTasks
from tests.contracts.task_builder import NOW, TENANT, a_task, params_called, widest_params

OTHER = TenantId("globex")


class TaskListingContract(OpensTasks):
    """Adopt it by a subclass whose name begins with ``Test``."""

    def test_tasks_are_listed_newest_first_and_ties_by_id(self, store: TaskStore) -> None:
        tasks = [a_task(str(number), created_at=NOW + number // 3) for number in range(12)]
        _create(store, random.Random(1).sample(tasks, 12))
        expected = [_listed_as(task) for task in sorted(tasks, key=lambda task: (-task.created_at, task.task_id))]
        self.soon(lambda: _listed(store), expected)

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7, 8, 100])
    def test_the_pages_together_are_the_listing(self, store: TaskStore, limit: int) -> None:
        tasks = [a_task(str(number), created_at=NOW + number // 3) for number in range(7)]
        _create(store, tasks)
        expected = [_listed_as(task) for task in sorted(tasks, key=lambda task: (-task.created_at, task.task_id))]
        self.soon(lambda: _listed(store, limit=limit), expected)

    def test_a_page_has_no_more_than_its_limit(self, store: TaskStore) -> None:
        _create(store, [a_task(str(number)) for number in range(5)])
        self.soon(lambda: len(store.page(TENANT, state=None, limit=3, cursor="").tasks), 3)

    def test_an_empty_listing_has_no_next_page(self, store: TaskStore) -> None:
        page = store.page(TENANT, state=None, limit=10, cursor="")
        assert (page.tasks, page.cursor) == ([], "")

    def test_new_tasks_do_not_disturb_a_listing_that_has_begun(self, store: TaskStore) -> None:
        tasks = [a_task(str(number), created_at=NOW + number) for number in range(6)]
        _create(store, tasks)
        self.soon(lambda: len(_listed(store)), 6)
        first = store.page(TENANT, state=None, limit=3, cursor="")
        _create(store, [a_task(f"new {number}", created_at=NOW + 100 + number) for number in range(4)])
        self.soon(lambda: len(_listed(store)), 10)
        second = store.page(TENANT, state=None, limit=10, cursor=first.cursor)
        assert first.tasks + second.tasks == [_listed_as(task) for task in tasks[::-1]]

    def test_a_listing_goes_on_behind_a_task_that_went(self, store: TaskStore) -> None:
        tasks = [a_task(str(number), created_at=NOW + number) for number in range(4)]
        _create(store, tasks)
        self.soon(lambda: len(_listed(store)), 4)
        first = store.page(TENANT, state=None, limit=2, cursor="")
        store.remove(first.tasks[-1].ref, Guard(state=State.OPEN))
        self.soon(
            lambda: store.page(TENANT, state=None, limit=2, cursor=first.cursor).tasks,
            [_listed_as(tasks[1]), _listed_as(tasks[0])],
        )

    def test_a_listing_may_be_of_one_state(self, store: TaskStore) -> None:
        tasks = [
            a_task(f"{state} {number}", state=state, created_at=NOW + number) for state in State for number in (1, 2)
        ]
        _create(store, tasks)
        for state in State:
            expected = [task for task in tasks if task.state == state][::-1]
            self.soon(partial(_listed, store, state=state, limit=1), expected)

    def test_a_task_that_changed_is_listed_as_it_is_now(self, store: TaskStore) -> None:
        task = a_task()
        _create(store, [task])
        store.update(task.ref, Guard(state=State.OPEN), {"state": State.CANCELLED})
        self.soon(lambda: _listed(store, state=State.OPEN), [])
        self.soon(lambda: [found.task_id for found in _listed(store, state=State.CANCELLED)], [task.task_id])

    def test_the_widest_tables_are_listed_as_any_others(self, store: TaskStore) -> None:
        params = widest_params()
        tasks = [a_task(str(number), params=params, created_at=NOW + number) for number in range(3)]
        _create(store, tasks)
        self.soon(lambda: _listed(store), [_listed_as(task) for task in tasks[::-1]])

    def test_a_list_has_the_parameters_that_a_row_has_now(self, store: TaskStore) -> None:
        task, params = a_task(), params_called("b.csv")
        _create(store, [task])
        store.update(task.ref, Guard(state=State.OPEN), {"params": params})
        self.soon(lambda: [found.params for found in _listed(store)], [params])

    def test_tombstones_are_left_out(self, store: TaskStore) -> None:
        kept, gone = (a_task(name, state=State.EXPIRED) for name in ("kept", "gone"))
        _create(store, [kept, gone])
        store.update(gone.ref, Guard(state=State.EXPIRED, rev=0), {"state": State.EXPIRED, "params": None})
        self.soon(lambda: _listed(store), [kept])
        self.soon(lambda: _listed(store, state=State.EXPIRED), [kept])

    def test_a_tenant_sees_only_its_own_tasks(self, store: TaskStore) -> None:
        ours, theirs = a_task("one"), a_task("one", tenant=OTHER)
        _create(store, [ours, theirs])
        self.soon(lambda: _listed(store), [ours])
        self.soon(lambda: _listed(store, state=State.OPEN), [ours])
        page = store.page(OTHER, state=None, limit=1, cursor="")
        assert page.tasks == [theirs]

    def test_a_cursor_of_another_tenant_shows_nothing_of_it(self, store: TaskStore) -> None:
        _create(store, [a_task(str(number), tenant=OTHER) for number in range(3)])
        self.soon(lambda: len(store.page(OTHER, state=None, limit=10, cursor="").tasks), 3)
        cursor = store.page(OTHER, state=None, limit=1, cursor="").cursor
        assert store.page(TENANT, state=None, limit=10, cursor=cursor).tasks == []

    @pytest.mark.parametrize(
        "cursor",
        [
            "garbage",
            "报表",
            "\0",
            "'; --",
            " ",
            "=",
            "AAAA",
            "\ud800",
            base64.urlsafe_b64encode(b"{}").decode(),
            base64.urlsafe_b64encode(b"[]").decode(),
            base64.urlsafe_b64encode(b'["a","b"]').decode(),
            base64.urlsafe_b64encode(b'[1e999,"b"]').decode(),
            base64.urlsafe_b64encode(b'[1.0,"b","c"]').decode(),
        ],
    )
    def test_a_cursor_that_the_store_did_not_make_is_refused(self, store: TaskStore, cursor: str) -> None:
        with pytest.raises(ValueError):
            store.page(TENANT, state=None, limit=10, cursor=cursor)

    def test_tasks_are_counted_by_tenant_and_state(self, store: TaskStore) -> None:
        _create(store, [a_task(str(number)) for number in range(3)])
        _create(store, [a_task("sealed", state=State.SEALED), a_task("theirs", tenant=OTHER)])
        counts = {State.OPEN: 3, State.SEALED: 1, State.COMPOSING: 0}
        self.soon(lambda: {state: store.count(TENANT, state) for state in counts}, counts)
        store.update(a_task("0").ref, Guard(state=State.OPEN), {"state": State.SEALED})
        self.soon(lambda: (store.count(TENANT, State.OPEN), store.count(TENANT, State.SEALED)), (2, 2))
        self.soon(lambda: store.count(OTHER, State.OPEN), 1)

    def test_composers_at_work_are_counted_by_their_leases(self, store: TaskStore) -> None:
        for number, until in enumerate((99.5, 100, 150, 200, 200.5)):
            _create(store, [a_task(str(number), state=State.COMPOSING, lease_until=float(until))])
        _create(store, [a_task("open", lease_until=150.0)])
        _create(store, [a_task("theirs", tenant=OTHER, state=State.COMPOSING, lease_until=150.0)])
        self.soon(lambda: store.count_leased(TENANT, LeaseEnds(100, 200)), 3)
        store.update(a_task("2").ref, Guard(state=State.COMPOSING), {"state": State.SEALED})
        self.soon(lambda: store.count_leased(TENANT, LeaseEnds(100, 200)), 2)
        self.soon(lambda: store.count_leased(OTHER, LeaseEnds(100, 200)), 1)


def _listed_as(task: Task) -> Task:
    """As a listing has it."""
    return msgspec.structs.replace(task, params=task.live_params.without_columns())


def _create(store: TaskStore, tasks: list[Task]) -> None:
    for task in tasks:
        assert store.create(task)


def _listed(store: TaskStore, *, state: State | None = None, limit: int = 100) -> list[Task]:
    """All pages one after the other."""
    tasks: list[Task] = []
    cursor = ""
    for _ in range(1000):
        page = store.page(TENANT, state=state, limit=limit, cursor=cursor)
        tasks += page.tasks
        cursor = page.cursor
        if not cursor:
            return tasks
    raise AssertionError("the listing has no end")
