"""Garbage that cannot be collected keeps no task from its bell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State
from sluice.ports.outside import Outside
from sluice.ports.store_errors import StoreRefused
from sluice.usecases.cancel_export import cancel_export
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.sweep_tasks import Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_outside import memory_outside
from tests.support.recorded_invoker import RecordedInvoker

PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")


class KeepsItsObjects(ForwardingStore):
    """A bucket that lets nobody delete: by its policy, or since its account is suspended."""

    def __init__(self, outside: Outside) -> None:
        super().__init__(outside.objects)
        self.asked = 0

    def delete(self, keys: Sequence[str]) -> None:
        self.asked += 1
        raise StoreRefused("no", code="AccessDenied")


def with_a_batch(outside: Outside) -> TaskRef:
    ref = open_export(outside, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    put_batch(outside, Definitions(outside), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    return ref


def test_tasks_whose_garbage_stays_make_room_for_a_lost_bell() -> None:
    clock, trigger = FakeClock(), RecordedInvoker()
    outside = replace(memory_outside(clock), invoker=trigger)
    store = KeepsItsObjects(outside)
    for _ in range(3):
        cancel_export(outside, with_a_batch(outside))
    waiting = with_a_batch(outside)
    close_export(outside, waiting, CloseRequest(batches=1))
    clock.advance(outside.timings.bell_grace_s)
    stuck = replace(outside, objects=store)
    assert sweep_tasks(stuck, limit=3) == {Swept.ERROR: 3}
    assert sweep_tasks(stuck, limit=3) == {Swept.LOST_BELL: 1}
    assert [ring.manifest.task for ring in trigger.rings] == [waiting]


def test_garbage_that_stayed_is_collected_later_and_no_round_is_skipped() -> None:
    clock = FakeClock()
    outside = memory_outside(clock)
    ref = with_a_batch(outside)
    cancel_export(outside, ref)
    store = KeepsItsObjects(outside)
    assert sweep_tasks(replace(outside, objects=store)) == {Swept.ERROR: 1}
    held = outside.tasks.read(ref)
    assert held is not None
    assert (held.state, held.gc_round) == (State.CANCELLED, 0)
    assert 0 < held.due_at - clock.now() <= outside.timings.backoff_max_s
    clock.advance(held.due_at - clock.now())
    assert sweep_tasks(outside) == {Swept.GARBAGE: 1}
    assert list(outside.objects.list("")) == []
