"""A store that is away, or does not let us in, costs time and no task: an operator may have to act first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.limits import DAY_S, HOUR_S, MINUTE_S
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ObjectStore, Upload
from sluice.ports.store_errors import InvalidParts, OutcomeUnknown, StoreError, StoreRefused
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")


class AwayStore(ForwardingStore):
    """Begins no upload while ``trouble`` lasts."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self.trouble: StoreError | None = None
        self.asked = 0

    def begin_upload(self, key: str, *, metadata: object) -> Upload:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return super().begin_upload(key, metadata=metadata)  # type: ignore[arg-type] # only handed on


class Composers:
    """Compose at once, in the caller's thread."""

    ports: Ports

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        compose_export(self.ports, manifest)


class Machine:
    """One minute after the other: a sweep, whose bells are heard."""

    def __init__(self) -> None:
        self.clock, composers = FakeClock(), Composers()
        ports = memory_ports(self.clock)
        self.store = AwayStore(ports.objects)
        self.ports = replace(ports, objects=self.store, invoker=composers)
        composers.ports = self.ports
        self.ref = self._sealed()

    def task(self) -> Task:
        task = self.ports.tasks.read(self.ref)
        assert task is not None
        return task

    def run(self, *, minutes: int) -> State:
        for _ in range(minutes):
            self.clock.advance(MINUTE_S)
            sweep_tasks(self.ports)
        return self.task().state

    def _sealed(self) -> TaskRef:
        ref = open_export(self.ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
        put_batch(self.ports, ParamsCache(self.ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
        close_export(self.ports, ref, CloseRequest(batches=1))
        return ref


@pytest.mark.parametrize("trouble", [StoreRefused("no", code="AccessDenied"), OutcomeUnknown("away")])
@pytest.mark.parametrize("outage_s", [20 * MINUTE_S, 12 * HOUR_S])
def test_a_task_waits_until_its_stores_are_back(trouble: StoreError, outage_s: int) -> None:
    machine = Machine()
    machine.store.trouble = trouble
    assert machine.run(minutes=outage_s // MINUTE_S) is State.SEALED
    assert machine.store.asked <= 8 + outage_s / machine.ports.timings.backoff_max_s
    machine.store.trouble = None
    assert machine.run(minutes=15) is State.COMPLETED


def test_a_task_does_not_wait_for_ever() -> None:
    machine = Machine()
    machine.store.trouble = StoreRefused("no", code="AccessDenied")
    assert machine.run(minutes=2 * DAY_S // MINUTE_S) is State.FAILED
    assert machine.task().finished_at <= machine.task().sealed_at + DAY_S + HOUR_S


def test_attempts_that_fail_for_another_reason_are_counted_as_ever() -> None:
    machine = Machine()
    machine.store.trouble = InvalidParts("a part is not the one that was put")
    assert machine.run(minutes=60) is State.FAILED
    assert machine.store.asked == machine.ports.timings.attempts_max
