"""The pool composes each tenant's tasks first in, first out, a bounded number at once, and survives its workers."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.pool import PoolLimits, WorkerPool
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId

WORKER = Path(__file__).parents[2] / "support/scripted_worker.py"
WAIT_S = 20
ACME = TenantId("acme")


class Heard:
    """A journal and a listener that remember, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, dict[str, object]]] = []
        self.started: list[str] = []
        self.rescued: list[ManifestRef] = []
        self.owners: list[str] = []
        self.at_start: list[bool] = []

    def record(self, event: Event, **fields: object) -> None:
        self.events.append((event, fields))

    def note(self, line: bytes) -> None:
        self.started.append(json.loads(line)["task_id"])

    def rescue(self, manifest: ManifestRef, owner: str, at_start: bool) -> None:  # noqa: FBT001 - as the pool calls it
        self.rescued.append(manifest)
        self.owners.append(owner)
        self.at_start.append(at_start)

    def deaths(self) -> list[dict[str, object]]:
        return [fields for event, fields in self.events if event is Event.WORKER_DIED]

    def names(self) -> list[Event]:
        return [event for event, _ in self.events]


def trigger(task: str, script: str = "ok") -> ManifestRef:
    return ManifestRef(TaskRef(ACME, TaskId(task)), script)


@contextmanager
def running_pool(heard: Heard, limits: PoolLimits, *, settings: bytes = b"{}") -> Iterator[WorkerPool]:
    pool = WorkerPool(
        [sys.executable, str(WORKER)],
        settings=settings,
        limits=limits,
        clock=SystemClock(),
        journal=heard,
        randomness=SystemRandomness(),
        note=heard.note,
    )
    pool.rescue_with(heard.rescue)
    try:
        yield pool
    finally:
        pool.drain(deadline_s=0)


def eventually(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.01)


def test_tasks_are_composed_in_the_order_of_their_bells() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        for number in range(20):
            pool.invoke(trigger(f"task-{number}"), epoch=1)
        eventually(lambda: len(heard.started) == 20)
    assert heard.started == [f"task-{number}" for number in range(20)]


def test_tenants_take_turns_however_many_tasks_one_has(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"

    def of(tenant: str, task: str) -> ManifestRef:
        return ManifestRef(TaskRef(TenantId(tenant), TaskId(task)), "ok")

    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("first", f"wait:{gate}"), epoch=1)
        eventually(lambda: pool.active == 1)
        for number in range(5):
            pool.invoke(of("greedy", f"g{number}"), epoch=1)
        pool.invoke(of("modest", "m0"), epoch=1)
        pool.invoke(of("modest", "m1"), epoch=1)
        pool.invoke(of("other", "o0"), epoch=1)
        assert (pool.queued, len(pool.waiting)) == (8, 8)
        gate.touch()
        eventually(lambda: len(heard.started) == 9)
    assert heard.started == ["first", "g0", "m0", "o0", "g1", "m1", "g2", "g3", "g4"]


def test_no_more_tasks_run_at_once_than_allowed_and_the_limit_is_noted(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=2)) as pool:
        for number in range(5):
            pool.invoke(trigger(f"task-{number}", f"wait:{gate}"), epoch=1)
        eventually(lambda: len(heard.started) == 2)
        time.sleep(0.1)  # a third would have started by now
        assert (pool.active, pool.queued, len(pool.pids)) == (2, 3, 2)
        assert Event.CONCURRENCY_LIMIT_REACHED in heard.names()
        gate.touch()
        eventually(lambda: len(heard.started) == 5)


def test_a_task_that_is_queued_or_running_is_not_queued_again(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        for _ in range(3):
            pool.invoke(trigger("task-a", f"wait:{gate}"), epoch=1)
        gate.touch()
        eventually(lambda: len(heard.started) == 1 and pool.active == 0)
        pool.invoke(trigger("task-a", f"wait:{gate}"), epoch=2)
        eventually(lambda: len(heard.started) == 2)
    assert heard.started == ["task-a", "task-a"]


def test_a_full_queue_refuses_an_open_with_a_hint(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=1, queue_max=2)) as pool:
        pool.admit(ACME)
        for number in range(4):
            pool.invoke(trigger(f"task-{number}", f"wait:{gate}"), epoch=1)
        eventually(lambda: pool.active == 1)
        assert not pool.has_room(ACME)
        with pytest.raises(SluiceError) as refused:
            pool.admit(ACME)
        assert refused.value.code is ErrorCode.QUEUE_FULL
        assert refused.value.facts["retry_after_s"] == 10
        gate.touch()


def test_no_more_than_half_of_the_workers_wait_for_databases(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    tables = [TaskRef(TenantId(f"reads-{number}"), TaskId(f"wait:{gate}")) for number in range(3)]
    with running_pool(heard, PoolLimits(workers_max=2)) as pool:
        for table in tables:
            pool.invoke(ManifestRef(table, ""), epoch=1)
        eventually(lambda: len(heard.started) == 1)
        pool.invoke(trigger("composed", "ok"), epoch=1)
        eventually(lambda: "composed" in heard.started)
        assert pool.waiting == {*tables[1:]}, "two tables wait, though a worker is free"
        gate.touch()
        eventually(lambda: len(heard.started) == 4)


def test_a_tenant_that_has_its_share_waits_for_its_own_composers_and_another_takes_the_free_one(
    tmp_path: Path,
) -> None:
    heard, gate, modest = Heard(), tmp_path / "gate", TenantId("modest")
    with running_pool(heard, PoolLimits(workers_max=3, tenant_max=2)) as pool:
        for number in range(6):
            pool.invoke(trigger(f"task-{number}", f"wait:{gate}"), epoch=1)
        eventually(lambda: len(heard.started) == 2)
        assert (pool.active, pool.queued) == (2, 4)
        pool.invoke(ManifestRef(TaskRef(modest, TaskId("m0")), "ok"), epoch=1)
        eventually(lambda: "m0" in heard.started)
        assert sorted(heard.started) == ["m0", "task-0", "task-1"]
        gate.touch()
        eventually(lambda: len(heard.started) == 7)
    assert sorted(heard.started) == ["m0", *(f"task-{number}" for number in range(6))]


@pytest.mark.parametrize(
    ("workers", "share", "composers"),
    [
        (10, 8, [8, 1, 1]),
        (10, 5, [5, 2, 1, 1, 1]),
        (50, 40, [40, 5, 2, 1, 1, 1]),
        (3, 2, [2, 1]),
        (2, 1, [1, 1]),
        (1, 1, [1]),
        (4, 0, [4]),
    ],
)
def test_a_tenant_gets_half_of_the_composers_that_the_others_leave(
    workers: int, share: int, composers: list[int]
) -> None:
    """Of tenants that come one after the other, each of which wants all it can get."""
    limits = PoolLimits(workers_max=workers, tenant_max=share)
    taken: list[int] = []
    for _ in range(len(composers) + 1):
        others, own = sum(taken), 0
        while others + own < workers and own < limits.tenant_bound(others):
            own += 1
        taken.append(own)
    assert taken == [*composers, 0]


def test_two_tenants_that_want_all_composers_leave_some_to_others() -> None:
    limits = PoolLimits(workers_max=10, tenant_max=8)
    first, second = 8, 1
    for _ in range(8):  # the first was there before; each time one of its files is done, the other is asked first
        first -= 1
        second += second < limits.tenant_bound(first)
        first += first < limits.tenant_bound(second)
    assert (first, second) == (3, 4)


def test_tenants_that_come_while_another_composes_find_a_composer_free(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"

    def invoke(tenant: str, task: str) -> None:
        pool.invoke(ManifestRef(TaskRef(TenantId(tenant), TaskId(task)), f"wait:{gate}"), epoch=1)

    with running_pool(heard, PoolLimits(workers_max=4, tenant_max=3)) as pool:
        invoke("first", "f0")
        eventually(lambda: heard.started == ["f0"])
        for number in range(4):
            invoke("greedy", f"g{number}")
        eventually(lambda: len(heard.started) == 2)
        for tenant in ("third", "fourth"):
            invoke(tenant, tenant)
        eventually(lambda: len(heard.started) == 4)
        assert sorted(heard.started) == ["f0", "fourth", "g0", "third"]
        assert (pool.active, pool.queued) == (4, 3)
        gate.touch()
        eventually(lambda: len(heard.started) == 7)


@pytest.mark.parametrize(
    ("workers", "share", "reading"),
    [(10, 8, [4, 1]), (50, 40, [20, 2, 1, 1, 1]), (4, 3, [1, 1]), (2, 1, [1]), (1, 1, [1]), (10, 0, [5])],
)
def test_a_tenant_gets_half_of_the_places_for_reading_that_the_others_leave(
    workers: int, share: int, reading: list[int]
) -> None:
    limits = PoolLimits(workers_max=workers, tenant_max=share)
    taken: list[int] = []
    for _ in range(len(reading) + 1):
        others, own = sum(taken), 0
        while others + own < limits.reading_max and own < limits.tenant_reading_bound(others):
            own += 1
        taken.append(own)
    assert taken == [*reading, 0]


def test_tables_of_one_tenant_leave_a_place_for_reading_to_others(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=6, tenant_max=5)) as pool:
        for number in range(6):
            pool.invoke(ManifestRef(TaskRef(ACME, TaskId(f"wait:{gate}{'/' * number}")), ""), epoch=1)
        eventually(lambda: len(heard.started) == 2)
        pool.invoke(ManifestRef(TaskRef(TenantId("globex"), TaskId("read")), ""), epoch=1)
        eventually(lambda: "read" in heard.started and pool.active == 2)
        assert len(pool.waiting) == 4
        gate.touch()
        eventually(lambda: len(heard.started) == 7)


def test_a_queue_that_one_tenant_filled_has_room_for_anothers_exports(tmp_path: Path) -> None:
    heard, gate, modest = Heard(), tmp_path / "gate", TenantId("modest")
    with running_pool(heard, PoolLimits(workers_max=1, queue_max=4)) as pool:
        pool.invoke(trigger("first", f"wait:{gate}"), epoch=1)
        eventually(lambda: pool.active == 1)
        for number in range(4):
            pool.invoke(trigger(f"task-{number}"), epoch=1)
        assert not pool.has_room(ACME)
        for number in range(2):
            pool.admit(modest)
            pool.invoke(ManifestRef(TaskRef(modest, TaskId(f"m{number}")), "ok"), epoch=1)
        with pytest.raises(SluiceError, match="QUEUE_FULL"):
            pool.admit(modest)
        pool.admit(TenantId("third"))
        gate.touch()


def test_there_is_room_again_when_the_queue_is_worked_off(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=1, queue_max=1)) as pool:
        for number in range(2):
            pool.invoke(trigger(f"task-{number}", f"wait:{gate}"), epoch=1)
        eventually(lambda: pool.active == 1)
        assert not pool.has_room(ACME)
        gate.touch()
        eventually(lambda: pool.has_room(ACME))
        pool.admit(ACME)


def test_a_worker_that_dies_is_replaced_and_its_task_rescued() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("task-a", "die"), epoch=1)
        pool.invoke(trigger("task-b"), epoch=1)
        eventually(lambda: heard.started == ["task-a", "task-b"] and pool.active == 0)
    assert heard.rescued == [trigger("task-a", "die")]
    assert heard.names().count(Event.WORKER_DIED) == 1
    assert heard.names().count(Event.WORKER_STARTED) == 2


def test_a_worker_that_closes_its_standard_error_goes_on() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        for number in range(3):
            pool.invoke(trigger(f"task-{number}", "quiet" if number == 0 else "ok"), epoch=1)
        eventually(lambda: pool.active == pool.queued == 0)
    assert (heard.started, heard.deaths()) == (["task-0", "task-1", "task-2"], [])


def test_an_idle_worker_that_was_killed_is_replaced_without_losing_a_task() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("task-a"), epoch=1)
        eventually(lambda: heard.started == ["task-a"] and pool.active == 0)
        [pid] = pool.pids
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pool.pids == [])
        pool.invoke(trigger("task-b"), epoch=1)
        eventually(lambda: heard.started == ["task-a", "task-b"] and pool.active == 0)
    assert heard.rescued == []


def test_draining_lets_a_running_task_end(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("task-a", f"wait:{gate}"), epoch=1)
        eventually(lambda: heard.started == ["task-a"])
        threading.Timer(0.1, gate.touch).start()
        assert pool.drain(deadline_s=WAIT_S)
        pool.invoke(trigger("task-b"), epoch=1)
        assert pool.queued == 0
    assert heard.rescued == []


def test_draining_kills_what_does_not_end_in_time(tmp_path: Path) -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("task-a", f"wait:{tmp_path / 'never'}"), epoch=1)
        pool.invoke(trigger("task-b"), epoch=1)
        eventually(lambda: heard.started == ["task-a"])
        assert not pool.drain(deadline_s=0.05)
        assert pool.pids == []
    assert heard.started == ["task-a"]


def test_the_first_export_that_is_let_in_finds_a_worker_started_for_it_and_only_one() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=2)) as pool:
        assert pool.pids == []
        pool.admit(ACME)
        eventually(lambda: len(pool.pids) == 1)
        ready = pool.pids
        pool.admit(ACME)
        pool.invoke(trigger("task-1"), epoch=1)
        eventually(lambda: heard.started == ["task-1"])
        assert pool.pids == ready
    assert heard.names().count(Event.WORKER_STARTED) == 1


def test_a_worker_that_cannot_be_started_early_refuses_no_export() -> None:
    heard = Heard()
    pool = WorkerPool(
        ["/no/such/program"],
        settings=b"{}",
        limits=PoolLimits(),
        clock=SystemClock(),
        journal=heard,
        randomness=SystemRandomness(),
        note=heard.note,
    )
    pool.admit(ACME)
    pool.invoke(trigger("task-1"), epoch=1)
    eventually(lambda: Event.WORKER_DIED in heard.names())
    assert pool.drain(deadline_s=WAIT_S)


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_killed_and_its_place_and_its_task_are_free() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1, silence_s=2)) as pool:
        pool.invoke(trigger("task-a", "hang"), epoch=1)
        pool.invoke(trigger("task-b"), epoch=1)
        eventually(lambda: heard.started == ["task-a", "task-b"] and pool.active == 0)
        pool.invoke(trigger("task-a", "ok"), epoch=2)
        eventually(lambda: heard.started == ["task-a", "task-b", "task-a"])
    [death] = heard.deaths()
    assert heard.rescued == [trigger("task-a", "hang")]
    assert (death["reason"], death["exit_code"]) == ("no sign of life", -signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_takes_its_time_and_says_so_is_left_alone(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=1, silence_s=2)) as pool:
        pool.invoke(trigger("task-a", f"wait:{gate}"), epoch=1)
        eventually(lambda: heard.started == ["task-a"])
        time.sleep(3)  # longer than a silence may be
        gate.touch()
        eventually(lambda: pool.active == 0)
    assert heard.deaths() == []


def test_a_task_that_was_taken_from_its_worker_is_composed_again_when_the_worker_has_ended(tmp_path: Path) -> None:
    heard, gate = Heard(), tmp_path / "gate"
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("task-a", f"wait:{gate}"), epoch=1)
        eventually(lambda: heard.started == ["task-a"])
        eventually(lambda: pool._known[trigger("task-a", f"wait:{gate}")].epoch == 1)
        pool.invoke(trigger("task-a", f"wait:{gate}"), epoch=2)  # what a sweep asks after `release-lease`
        gate.touch()
        eventually(lambda: heard.started == ["task-a", "task-a"])


def test_what_a_worker_wrote_last_is_in_the_entry_of_its_death() -> None:
    heard = Heard()
    with running_pool(heard, PoolLimits(workers_max=1)) as pool:
        pool.invoke(trigger("task-a", "die"), epoch=1)
        eventually(lambda: len(heard.rescued) == 1)
    [death] = heard.deaths()
    assert (death["exit_code"], death["last_words"]) == (9, "these are\nmy last words")
    assert (death["task_id"], heard.at_start) == ("task-a", [False])


def test_workers_that_die_as_they_start_are_counted_until_one_starts(tmp_path: Path) -> None:
    heard, obstacle = Heard(), tmp_path / "obstacle"
    obstacle.touch()
    settings = json.dumps({"die": str(obstacle)}).encode()
    with running_pool(heard, PoolLimits(workers_max=1), settings=settings) as pool:
        for number in range(1, 3):  # the first time one was started before there was a task
            pool.check()
            pool.invoke(trigger("task-a"), epoch=1)
            eventually(lambda number=number: len(heard.rescued) == number)  # type: ignore[misc]  # bound at once
        with pytest.raises(SluiceError, match="composers died as they started"):
            pool.check()
        assert heard.at_start == [True] * 2
        assert {death["last_words"] for death in heard.deaths()} == {"there is no such thing"}
        obstacle.unlink()
        pool.invoke(trigger("task-a"), epoch=1)
        eventually(lambda: heard.started == ["task-a"] and pool.active == 0)
        pool.check()
        obstacle.touch()
        [pid] = pool.pids
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pool.pids == [])
        for number in range(3, 5):  # counted anew
            pool.invoke(trigger("task-a"), epoch=1)
            eventually(lambda number=number: len(heard.rescued) == number)  # type: ignore[misc]  # bound at once
        pool.check()
    assert heard.names().count(Event.WORKER_STARTED) == 1
