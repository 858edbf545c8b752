"""One task that cannot be moved on, for whatever reason, costs no other its turn; it is put off, shown and counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.app.one_machine import FAILED_SWEEPS_MAX, SILENT_MIN_S, SILENT_SWEEPS_MAX, SweeperLoop
from sluice.cli.task.report import report_task
from sluice.cli.task.text import page_of
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ListedObject, ObjectStore, OnUnreadable
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from sluice.ports.task_store import DueTasks
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_invoker import RecordedInvoker
from tests.support.recorded_journal import RecordedJournal

PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")
ERRORS = (RuntimeError("a bug"), ValueError("a name that is no key"), StoreRefused("no"), OutcomeUnknown(), OSError())


class PoisonedTasks(MemoryTasks):
    """Rows that cannot be read, as one whose state no release of ours knows."""

    def __init__(self) -> None:
        super().__init__()
        self.poisoned: set[TaskRef] = set()
        self.asked = 0

    def read(self, ref: TaskRef) -> Task | None:
        if ref in self.poisoned:
            self.asked += 1
            raise SluiceError(ErrorCode.INTERNAL, "the row is damaged")
        return super().read(ref)


class PoisonedObjects(ForwardingStore):
    """A store that fails on one task's objects."""

    def __init__(self, store: ObjectStore, ref: TaskRef, error: Exception) -> None:
        super().__init__(store)
        self.ref: TaskRef | None = ref
        self._error = error

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        if self.ref is not None and self.ref.task_id in prefix:
            raise self._error
        return super().list(prefix, on_unreadable)

    def delete(self, keys: Sequence[str]) -> None:
        if self.ref is not None and any(self.ref.task_id in key for key in keys):
            raise self._error
        super().delete(keys)


def opened(ports: Ports) -> TaskRef:
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    return ref


def cancelled(ports: Ports) -> TaskRef:
    ref = opened(ports)
    cancel_export(ports, ref)
    return ref


def sealed(ports: Ports) -> TaskRef:
    ref = opened(ports)
    close_export(ports, ref, CloseRequest(batches=1))
    return ref


def row(ports: Ports, ref: TaskRef) -> Task:
    task = ports.tasks.read(ref)
    assert task is not None
    return task


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_at_one_task_leaves_the_others_their_turn_and_is_written_down(error: Exception) -> None:
    clock, trigger = FakeClock(), RecordedInvoker()
    ports = replace(memory_ports(clock), invoker=trigger)
    poison = cancelled(ports)
    waiting = sealed(ports)
    clock.advance(ports.timings.trigger_grace_s)
    objects = PoisonedObjects(ports.objects, poison, error)
    failing = replace(ports, objects=objects)
    assert sweep_tasks(failing) == {Swept.ERROR: 1, Swept.LOST_TRIGGER: 1}
    assert [ring.manifest.task for ring in trigger.rings] == [waiting]
    pauses = []
    for failures in (1, 2, 3):
        held = row(ports, poison)
        assert (held.upkeep_failures, held.upkeep_error) == (failures, type(error).__name__)
        pauses.append(held.due_at - clock.now())
        report = report_task(ports, poison)
        assert report.upkeep is not None
        assert f"tried in vain {failures} time" in page_of(report)
        clock.advance(pauses[-1])
        sweep_tasks(failing)
    assert pauses == [ports.timings.backoff_s * factor for factor in (1, 2, 4)]
    objects.ref = None
    clock.advance(ports.timings.backoff_max_s)
    sweep_tasks(failing)
    assert (row(ports, poison).upkeep_failures, row(ports, poison).upkeep_error) == (0, "")
    assert report_task(ports, poison).upkeep is None


def test_a_task_that_was_put_off_in_its_row_has_its_turn_whenever_its_row_says() -> None:
    clock = FakeClock()
    ports, memory = memory_ports(clock), SweepMemory(trusts_clock=True)
    poison = cancelled(ports)
    objects = PoisonedObjects(ports.objects, poison, RuntimeError("a bug"))
    assert sweep_tasks(replace(ports, objects=objects), memory=memory) == {Swept.ERROR: 1}
    ports.tasks.update(poison, Guard(state=State.CANCELLED), {"due_at": clock.now()})
    assert sweep_tasks(ports, memory=memory) == {Swept.GARBAGE: 1}


def test_rows_that_can_be_neither_read_nor_written_wait_in_memory_however_many_they_are() -> None:
    """More of them than a sweep may look at, all more overdue than what can be helped."""
    clock, trigger, tasks = FakeClock(), RecordedInvoker(), PoisonedTasks()
    ports = replace(memory_ports(clock), invoker=trigger, tasks=tasks)
    poison = {cancelled(ports) for _ in range(5)}
    waiting = sealed(ports)
    tasks.poisoned = set(poison)
    clock.advance(ports.timings.trigger_grace_s)
    memory = SweepMemory(trusts_clock=True)
    for _ in range(4):
        sweep_tasks(ports, limit=2, memory=memory)
    assert [ring.manifest.task for ring in trigger.rings] == [waiting]
    assert len(memory) == len(poison)
    journal = ports.journal
    assert isinstance(journal, RecordedJournal)
    assert journal.of(Event.SWEEP_FINISHED)[-1]["put_off"] == len(poison)
    asked = tasks.asked
    sweep_tasks(ports, memory=memory)
    assert tasks.asked == asked, "they have their pause"
    tasks.poisoned = set()
    clock.advance(ports.timings.backoff_max_s)
    assert sweep_tasks(ports, memory=memory)[Swept.GARBAGE] == len(poison)
    assert len(memory) == 0


def test_an_open_task_that_cannot_expire_is_put_off_and_a_batch_that_comes_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    ref = opened(ports)
    clock.advance(ports.timings.idle_s)
    update = MemoryTasks.update

    def silent(self: MemoryTasks, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        if fields.get("state") is State.EXPIRED:
            raise RuntimeError
        return update(self, ref, guard, fields)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryTasks, "update", silent)
        assert sweep_tasks(ports) == {Swept.ERROR: 1}
    assert (row(ports, ref).state, row(ports, ref).upkeep_failures) == (State.OPEN, 1)
    put_batch(ports, ParamsCache(ports), ref, sequence=2, batch=Batch.of_rows([("y",)], 1))
    clock.advance(ports.timings.backoff_max_s)
    assert sweep_tasks(ports) == {}


def failing_due(now: float, *, limit: int, latest: float) -> DueTasks:
    raise OutcomeUnknown


def test_a_service_whose_sweeps_fail_is_not_ready_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = memory_ports(FakeClock())
    loop = SweeperLoop(ports, interval_s=0, tidy=lambda: None)
    due: Callable[..., DueTasks] = ports.tasks.due
    monkeypatch.setattr(ports.tasks, "due", failing_due)
    for _ in range(FAILED_SWEEPS_MAX - 1):
        loop.sweep()
        loop.check()
    loop.sweep()
    with pytest.raises(SluiceError, match=f"last {FAILED_SWEEPS_MAX} sweeps failed"):
        loop.check()
    monkeypatch.setattr(ports.tasks, "due", due)
    loop.sweep()
    loop.check()


@pytest.mark.parametrize(("interval_s", "most_s"), [(0.1, SILENT_MIN_S), (60, SILENT_SWEEPS_MAX * 60)])
def test_a_sweeper_that_takes_no_step_for_several_intervals_is_not_ready(interval_s: float, most_s: float) -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    said: list[str] = []

    def hang() -> None:
        for _ in range(2):
            clock.advance(most_s - 1)
            clock.jump(1_000_000)  # the wall clock says nothing about it
            try:
                loop.check()
            except SluiceError as error:
                said.append(error.code)
            else:
                said.append("ready")

    memory = SweepMemory(trusts_clock=True)
    loop = SweeperLoop(ports, interval_s=interval_s, tidy=hang, memory=memory)
    clock.advance(most_s + 1)
    loop.check()  # it was not started yet
    loop.sweep()
    loop.walk_if_due()
    assert said == ["ready", ErrorCode.INTERNAL]
    loop.sweep()
    loop.check()


def test_a_sweep_of_many_slow_tasks_is_no_silence() -> None:
    clock = FakeClock()
    ready: list[TaskRef] = []
    ports = memory_ports(clock)
    for _ in range(3):
        close_export(ports, opened(ports), CloseRequest(batches=1))
    clock.advance(ports.timings.trigger_grace_s)

    class Slow(RecordedInvoker):
        def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
            clock.advance(SILENT_MIN_S)
            loop.check()
            ready.append(manifest.task)
            super().invoke(manifest, epoch=epoch)

    loop = SweeperLoop(replace(ports, invoker=Slow()), interval_s=1, tidy=lambda: None)
    loop.sweep()
    assert len(set(ready)) == 3


def test_a_service_that_ends_waits_for_no_step_that_hangs_and_begins_no_further_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, trigger = FakeClock(), RecordedInvoker()
    ports = replace(memory_ports(clock), invoker=trigger)
    close_export(ports, opened(ports), CloseRequest(batches=1))
    clock.advance(ports.timings.trigger_grace_s)
    hangs, goes_on = threading.Event(), threading.Event()
    due = ports.tasks.due

    def hanging(*args: Any, **kwargs: Any) -> DueTasks:
        hangs.set()
        goes_on.wait(60)
        return due(*args, **kwargs)

    monkeypatch.setattr(ports.tasks, "due", hanging)
    loop = SweeperLoop(ports, interval_s=60, tidy=lambda: None, stop_s=0)
    loop.start()
    assert hangs.wait(60)
    [thread] = [one for one in threading.enumerate() if one.name == "sweeper"]
    loop.stop()
    assert thread.is_alive()
    goes_on.set()
    thread.join(60)
    assert not thread.is_alive()
    assert trigger.rings == []
    assert isinstance(ports.journal, RecordedJournal)
    assert ports.journal.of(Event.SYSTEM_ERROR) == []


def test_a_loop_sweeps_with_the_memory_that_it_is_given() -> None:
    """One that remembers nothing yet is empty, and still the one that knows the queue."""
    asked: list[None] = []

    def queued() -> tuple[TaskRef, ...]:
        asked.append(None)
        return ()

    SweeperLoop(memory_ports(FakeClock()), interval_s=1, tidy=lambda: None, memory=SweepMemory(queued=queued)).sweep()
    assert len(asked) == 1
