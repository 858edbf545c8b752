"""The weekly walk finds what the index forgot and what no row names, and touches nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, chunk_key, result_key
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import StoreRefused
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

TENANT = TenantId("acme")
PARAMS = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("a"), ColumnSpec("b")))
NOBODY = TaskRef(TenantId("acme"), TaskId("z" * 26))
DAY_S = 24 * 3600


def open_task(ports: Ports) -> Task:
    task = open_export(ports, TENANT, OpenRequest(PARAMS)).task
    put_batch(ports, ParamsCache(ports), task.ref, sequence=1, batch=Batch.of_rows([("1", "a")], 2))
    return task


def completed_task(ports: Ports) -> Task:
    task = close_export(ports, open_task(ports).ref, CloseRequest())
    assert compose_export(ports, ManifestRef(task.ref, task.man_sha)) is Outcome.COMPLETED
    done = ports.tasks.read(task.ref)
    assert done is not None
    return done


def test_objects_without_a_row_go_once_they_are_old() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    orphans = [
        chunk_key(NOBODY, 1, "0" * 32),
        result_key(NOBODY, epoch=1, nonce="0" * 16, extension="csv"),
    ]
    for key in orphans:
        ports.objects.put(key, b"x")
    kept = open_task(ports)
    young = reconcile_stores(ports, orphan_age_s=DAY_S)
    assert (young.orphans_removed, young.objects) == (0, 3)
    clock.advance(DAY_S + 1)
    old = reconcile_stores(ports, orphan_age_s=DAY_S)
    assert old.orphans_removed == 2
    [left] = ports.objects.list("in/")
    assert kept.task_id in left.key
    assert not list(ports.objects.list("out/"))


def test_an_object_that_is_not_ours_is_left_alone() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    ports.objects.put("in/v1/notes.txt", b"x")
    clock.advance(30 * DAY_S)
    assert reconcile_stores(ports, orphan_age_s=DAY_S).orphans_removed == 0
    assert ports.objects.get("in/v1/notes.txt") == b"x"


def test_a_task_that_no_sweep_has_looked_at_is_given_its_step() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    task = open_task(ports)
    clock.advance(ports.timings.idle_s + 3600)
    report = reconcile_stores(ports)
    assert (report.rows, report.overdue) == (1, 1)
    row = ports.tasks.read(task.ref)
    assert row is not None
    assert row.state is State.EXPIRED


def test_a_completed_task_whose_object_is_gone_is_named() -> None:
    ports = memory_ports(FakeClock())
    task = completed_task(ports)
    assert reconcile_stores(ports).results_missing == []
    ports.objects.delete([task.result_key])
    assert reconcile_stores(ports).results_missing == [task.task_id]


class KeepsOneTask(ForwardingStore):
    """A store that does not let go of one task's objects."""

    def __init__(self, store: ObjectStore, kept: TaskId) -> None:
        super().__init__(store)
        self._kept = kept

    def delete(self, keys: Sequence[str]) -> None:
        if any(self._kept in key for key in keys):
            raise StoreRefused("no", code="AccessDenied")
        super().delete(keys)


def test_a_store_that_fails_on_one_row_does_not_end_the_walk() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    tasks = [cancel_export(ports, open_task(ports).ref) for _ in range(3)]
    for kept in tasks:
        clock.advance(DAY_S)
        report = reconcile_stores(replace(ports, objects=KeepsOneTask(ports.objects, kept.task_id)))
        assert report.rows == 3
    assert not list(ports.objects.list("in/"))


class OpensAnew(ForwardingStore):
    """While the first orphan goes, the key of its task is opened again and the second one's batch is put."""

    def __init__(self, ports: Ports, task: Task) -> None:
        super().__init__(ports.objects)
        self._ports, self._task = ports, task

    def delete(self, keys: Sequence[str]) -> None:
        super().delete(keys)
        self._ports.tasks.create(self._task)


def test_that_a_task_has_no_row_is_not_remembered_while_its_key_is_opened_again() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    task = open_task(ports)
    first, second = (chunk_key(task.ref, sequence, "0" * 32) for sequence in (1, 2))
    for item in list(ports.objects.list("in/")):
        ports.objects.delete([item.key])
    for key in (first, second):
        ports.objects.put(key, b"x")
    ports.tasks.remove(task.ref, Guard(state=State.OPEN))
    clock.advance(30 * DAY_S)
    anew = replace(ports, objects=OpensAnew(ports, msgspec.structs.replace(task, due_at=clock.now() + DAY_S)))
    assert reconcile_stores(anew).orphans_removed == 1
    assert [item.key for item in ports.objects.list("in/")] == [second]
