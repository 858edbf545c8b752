"""A delete that meets a task just as it ends still leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.task_store import TaskStore
from sluice.tables.batch import Batch
from sluice.usecases.reading.read_task import list_exports, read_status
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.memory_service import TENANT, MemoryService

ORDERS = ExportParams(format=ExportFormat.CSV, filename="orders", columns=(ColumnSpec("id"),))


class OvertakenReads:
    """Gives the row as it is, and then lets something happen before its reader can act on it. Once."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.overtake: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def read(self, ref: TaskRef) -> Task | None:
        task: Task | None = self._target.read(ref)
        overtake, self.overtake = self.overtake, None
        if overtake is not None:
            overtake()
        return task


def sealed_task(memory: MemoryService) -> TaskRef:
    """A task that waits for its composer."""
    ref = open_export(memory.ports, TENANT, OpenRequest(ORDERS)).task.ref
    close_export(memory.ports, ref, CloseRequest())
    return ref


def fail(tasks: TaskStore, ref: TaskRef) -> None:
    fields: TaskFields = {"state": State.FAILED, "last_error_code": "CHUNK_MISSING"}
    assert tasks.update(ref, Guard(state=State.SEALED, epoch=0), fields)


def complete_and_delete(memory: MemoryService, ref: TaskRef) -> None:
    memory.invoker.join()
    delete_export(memory.ports, ref)


ENDINGS: dict[str, Callable[[MemoryService, TaskRef], object]] = {
    "completed": lambda memory, _: memory.invoker.join(),
    "failed": lambda memory, ref: fail(memory.tasks, ref),
    "deleted": complete_and_delete,
}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[MemoryService]:
    """A service whose composers wait until they are joined."""
    memory = MemoryService(tmp_path, paused=True, tasks=OvertakenReads)
    yield memory
    memory.invoker.join()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_task_that_ends_while_it_is_being_deleted_is_deleted(ending: str, memory: MemoryService) -> None:
    ref = sealed_task(memory)
    memory.ports.tasks.overtake = lambda: ENDINGS[ending](memory, ref)  # type: ignore[attr-defined]  # the fixture's own store
    delete_export(memory.ports, ref)
    memory.invoker.join()
    with pytest.raises(SluiceError) as caught:
        read_status(memory.ports, ref)
    assert caught.value.code is ErrorCode.TASK_DELETED


def test_a_task_that_is_cancelled_while_it_is_being_deleted_stays_cancelled(memory: MemoryService) -> None:
    ref = sealed_task(memory)
    memory.ports.tasks.overtake = lambda: cancel_export(memory.ports, ref)  # type: ignore[attr-defined]  # the fixture's own store
    delete_export(memory.ports, ref)
    memory.invoker.join()
    assert read_status(memory.ports, ref).state is State.CANCELLED


def test_a_list_leaves_out_what_was_deleted_and_keeps_what_expired_or_was_cancelled(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path)
    deleted, kept = sealed_task(memory), sealed_task(memory)
    cancelled = open_export(memory.ports, TENANT, OpenRequest(ORDERS)).task.ref
    cancel_export(memory.ports, cancelled)
    complete_and_delete(memory, deleted)
    listed = {task.task_id: task.state for task in list_exports(memory.ports, TENANT).tasks}
    assert listed == {kept.task_id: State.COMPLETED, cancelled.task_id: State.CANCELLED}
    assert list_exports(memory.ports, TENANT, state=State.EXPIRED).tasks == []


def test_deleting_a_cancelled_export_deletes_it(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path)
    ref = open_export(memory.ports, TENANT, OpenRequest(ORDERS)).task.ref
    delete_export(memory.ports, ref)
    assert read_status(memory.ports, ref).state is State.CANCELLED
    delete_export(memory.ports, ref)
    delete_export(memory.ports, ref)
    with pytest.raises(SluiceError) as caught:
        read_status(memory.ports, ref)
    assert caught.value.code is ErrorCode.TASK_DELETED
    assert list_exports(memory.ports, TENANT).tasks == []
    assert len(memory.journal.of(Event.TASK_DELETED)) == 1


def test_an_export_that_is_over_keeps_nothing_of_its_columns_and_answers_as_before(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path)
    service, request = memory.service, OpenRequest(ORDERS, idempotency_key="monthly")
    ref = open_export(memory.ports, TENANT, request).task.ref
    assert memory.row(ref.task_id).live_params.columns == ORDERS.columns
    cancel_export(memory.ports, ref)
    assert memory.row(ref.task_id).params == memory.row(ref.task_id).live_params.without_columns()
    again = open_export(memory.ports, TENANT, request)
    assert (again.replayed, again.task.state) == (True, State.CANCELLED)
    service.params_cache.remember(again.task)
    with pytest.raises(SluiceError) as late:
        put_batch(memory.ports, service.params_cache, ref, sequence=1, batch=Batch.of_rows([["1"]], 1))
    assert late.value.code is ErrorCode.CANCELLED
    done = sealed_task(memory)
    complete_and_delete(memory, done)
    assert memory.row(done.task_id).live_params.columns == ()
