"""A store that is busy for a moment is asked again later, not at once and in vain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.reading import Reading
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import OutcomeUnknown
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")
ASKS_S = 0.5


class BusyTasks(MemoryTasks):
    """Takes no write before ``busy_until``, and says for how long it wants to be left alone."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.busy_until = 0.0

    def be_busy(self, seconds: float) -> None:
        self.busy_until = self.clock.monotonic() + seconds

    def create(self, task: Task) -> bool:
        self._refuse()
        return super().create(task)

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        self._refuse()
        return super().claim(ref, claim, at=at, due_at=due_at, reading=reading)

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        self._refuse()
        return super().update(ref, guard, fields)

    def _refuse(self) -> None:
        if self.clock.monotonic() < self.busy_until:
            raise OutcomeUnknown("busy", retry_after_s=ASKS_S)


class BusyAtTheEnd(ForwardingStore):
    """Completes no upload in the first seconds after it was asked to."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        super().__init__(store)
        self._clock = clock
        self._free_at: float | None = None

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        now = self._clock.monotonic()
        self._free_at = now + 2 * ASKS_S if self._free_at is None else self._free_at
        if now < self._free_at:
            raise OutcomeUnknown("throttled", retry_after_s=ASKS_S)
        super().complete_upload(upload, receipts)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tasks(clock: FakeClock) -> BusyTasks:
    return BusyTasks(clock)


@pytest.fixture
def ports(clock: FakeClock, tasks: BusyTasks) -> Ports:
    return replace(memory_ports(clock), tasks=tasks)


def test_an_export_goes_on_after_a_short_time_of_business_at_any_write(ports: Ports, tasks: BusyTasks) -> None:
    tasks.be_busy(2 * ASKS_S)
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    tasks.be_busy(2 * ASKS_S)
    receipt = put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    assert receipt.rows == 1
    tasks.be_busy(2 * ASKS_S)
    sealed = close_export(ports, ref, CloseRequest(batches=1))
    tasks.be_busy(2 * ASKS_S)
    assert compose_export(ports, ManifestRef(ref, sealed.man_sha)) is Outcome.COMPLETED
    done = tasks.read(ref)
    assert done is not None
    assert (done.state, done.epoch) == (State.COMPLETED, 1)


def test_an_upload_is_completed_when_the_store_has_time_again(ports: Ports, clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)
    ports = replace(ports, objects=store)
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    sealed = close_export(ports, ref, CloseRequest(batches=0))
    busy = replace(ports, objects=BusyAtTheEnd(store, clock))
    assert compose_export(busy, ManifestRef(ref, sealed.man_sha)) is Outcome.COMPLETED


def test_nobody_waits_long_for_a_store_that_asks_for_an_hour(ports: Ports, clock: FakeClock) -> None:
    class Closed(BusyTasks):
        def _refuse(self) -> None:
            raise OutcomeUnknown("busy", retry_after_s=3600)

    with pytest.raises(OutcomeUnknown):
        open_export(replace(ports, tasks=Closed(clock)), TenantId("acme"), OpenRequest(PARAMS))
    assert 0 < clock.monotonic() < 10
