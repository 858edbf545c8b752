"""Garbage that cannot be collected keeps no task from its bell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreRefused
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_invoker import RecordedInvoker

PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")


class KeepsItsObjects(ForwardingStore):
    """A bucket that lets nobody delete: by its policy, or since its account is suspended."""

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports.objects)
        self.asked = 0

    def delete(self, keys: Sequence[str]) -> None:
        self.asked += 1
        raise StoreRefused("no", code="AccessDenied")


def with_a_batch(ports: Ports) -> TaskRef:
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    return ref


def test_tasks_whose_garbage_stays_make_room_for_a_lost_trigger() -> None:
    clock, trigger = FakeClock(), RecordedInvoker()
    ports = replace(memory_ports(clock), invoker=trigger)
    store = KeepsItsObjects(ports)
    for _ in range(3):
        cancel_export(ports, with_a_batch(ports))
    waiting = with_a_batch(ports)
    close_export(ports, waiting, CloseRequest(batches=1))
    clock.advance(ports.timings.trigger_grace_s)
    stuck = replace(ports, objects=store)
    assert sweep_tasks(stuck, limit=3) == {Swept.LOST_TRIGGER: 1, Swept.ERROR: 2}, "who waits comes first"
    assert sweep_tasks(stuck, limit=3) == {Swept.ERROR: 1}
    assert [ring.manifest.task for ring in trigger.rings] == [waiting]


def test_garbage_that_stayed_is_collected_later_and_no_round_is_skipped() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    ref = with_a_batch(ports)
    cancel_export(ports, ref)
    store = KeepsItsObjects(ports)
    assert sweep_tasks(replace(ports, objects=store)) == {Swept.ERROR: 1}
    held = ports.tasks.read(ref)
    assert held is not None
    assert (held.state, held.gc_round) == (State.CANCELLED, 0)
    assert 0 < held.due_at - clock.now() <= ports.timings.backoff_max_s
    clock.advance(held.due_at - clock.now())
    assert sweep_tasks(ports) == {Swept.GARBAGE: 1}
    assert list(ports.objects.list("")) == []
