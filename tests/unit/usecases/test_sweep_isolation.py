"""One task that cannot be moved on, for whatever reason, costs no other its turn; it is put off, shown and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.app.one_machine import FAILED_SWEEPS_MAX, SweeperLoop
from sluice.cli.task.report import report_task
from sluice.cli.task.text import page_of
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ListedObject, ObjectStore
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
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

    def list(self, prefix: str) -> Iterator[ListedObject]:
        if self.ref is not None and self.ref.task_id in prefix:
            raise self._error
        return super().list(prefix)

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


def failing_due(now: float, *, limit: int, latest: float) -> list[TaskRef]:
    raise OutcomeUnknown


def test_a_service_whose_sweeps_fail_is_not_ready_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = memory_ports(FakeClock())
    loop = SweeperLoop(ports, interval_s=0, tidy=lambda: None)
    due: Callable[..., list[TaskRef]] = ports.tasks.due
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
