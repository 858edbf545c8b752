"""The weekly walk finds what the index forgot and what no row names, and touches nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, chunk_key, result_key
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.ports.object_store import ObjectStore
from sluice.ports.outside import Outside
from sluice.ports.store_errors import StoreRefused
from sluice.usecases.cancel_export import cancel_export
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.compose_export import Outcome, compose_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.reconcile_stores import reconcile_stores
from tests.support.fake_clock import FakeClock
from tests.support.memory_outside import memory_outside

TENANT = TenantId("acme")
PARAMS = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("a"), ColumnSpec("b")))
NOBODY = TaskRef(TenantId("acme"), TaskId("z" * 26))
DAY_S = 24 * 3600


def open_task(outside: Outside) -> Task:
    task = open_export(outside, TENANT, OpenRequest(PARAMS)).task
    put_batch(outside, Definitions(outside), task.ref, sequence=1, batch=Batch.of_rows([("1", "a")], 2))
    return task


def completed_task(outside: Outside) -> Task:
    task = close_export(outside, open_task(outside).ref, CloseRequest())
    assert compose_export(outside, ManifestRef(task.ref, task.man_sha)) is Outcome.COMPLETED
    done = outside.tasks.read(task.ref)
    assert done is not None
    return done


def test_objects_without_a_row_go_once_they_are_old() -> None:
    clock = FakeClock()
    outside = memory_outside(clock)
    orphans = [
        chunk_key(NOBODY, 1, "0" * 32),
        result_key(NOBODY, epoch=1, nonce="0" * 16, extension="csv"),
    ]
    for key in orphans:
        outside.objects.put(key, b"x")
    kept = open_task(outside)
    young = reconcile_stores(outside, orphan_age_s=DAY_S)
    assert (young.orphans_removed, young.objects) == (0, 3)
    clock.advance(DAY_S + 1)
    old = reconcile_stores(outside, orphan_age_s=DAY_S)
    assert old.orphans_removed == 2
    [left] = outside.objects.list("in/")
    assert kept.task_id in left.key
    assert not list(outside.objects.list("out/"))


def test_an_object_that_is_not_ours_is_left_alone() -> None:
    clock = FakeClock()
    outside = memory_outside(clock)
    outside.objects.put("in/v1/notes.txt", b"x")
    clock.advance(30 * DAY_S)
    assert reconcile_stores(outside, orphan_age_s=DAY_S).orphans_removed == 0
    assert outside.objects.get("in/v1/notes.txt") == b"x"


def test_a_task_that_no_sweep_has_looked_at_is_given_its_step() -> None:
    clock = FakeClock()
    outside = memory_outside(clock)
    task = open_task(outside)
    clock.advance(outside.timings.idle_s + 3600)
    report = reconcile_stores(outside)
    assert (report.rows, report.overdue) == (1, 1)
    row = outside.tasks.read(task.ref)
    assert row is not None
    assert row.state is State.EXPIRED


def test_a_completed_task_whose_object_is_gone_is_named() -> None:
    outside = memory_outside(FakeClock())
    task = completed_task(outside)
    assert reconcile_stores(outside).results_missing == []
    outside.objects.delete([task.result_key])
    assert reconcile_stores(outside).results_missing == [task.task_id]


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
    outside = memory_outside(clock)
    tasks = [cancel_export(outside, open_task(outside).ref) for _ in range(3)]
    for kept in tasks:
        clock.advance(DAY_S)
        report = reconcile_stores(replace(outside, objects=KeepsOneTask(outside.objects, kept.task_id)))
        assert report.rows == 3
    assert not list(outside.objects.list("in/"))
