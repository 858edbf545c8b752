"""An export that nobody closes ends: a while after its last batch, and at the latest so long after it was opened."""

from __future__ import annotations

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.limits import HOUR_S
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

PARAMS = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("a"),))


def put(ports: Ports, ref: TaskRef, sequence: int) -> None:
    put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=Batch.of_rows([("x",)], 1))


def state_after_sweep(ports: Ports, ref: TaskRef, memory: SweepMemory | None = None) -> State:
    sweep_tasks(ports, memory=memory)
    row = ports.tasks.read(ref)
    assert row is not None
    return row.state


def reason_of(ports: Ports) -> object:
    """Why a task expired, as the log has it."""
    assert isinstance(ports.journal, RecordedJournal)
    (expired,) = ports.journal.of(Event.TASK_EXPIRED)
    return expired["reason"]


def test_a_task_without_a_new_batch_expires_a_day_after_the_last() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    clock.advance(20 * HOUR_S)
    put(ports, ref, 1)
    clock.advance(23 * HOUR_S)
    assert state_after_sweep(ports, ref) is State.OPEN
    clock.advance(2 * HOUR_S)
    assert state_after_sweep(ports, ref) is State.EXPIRED
    assert reason_of(ports) == "idle"


def test_a_clock_that_jumped_ends_no_open_task_before_it_has_proved_itself() -> None:
    clock = FakeClock()
    ports, memory = memory_ports(clock), SweepMemory()
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    assert state_after_sweep(ports, ref, memory) is State.OPEN
    clock.jump(72 * HOUR_S)
    assert state_after_sweep(ports, ref, memory) is State.OPEN
    clock.advance(24 * HOUR_S)
    assert state_after_sweep(ports, ref, memory) is State.EXPIRED


def test_a_task_that_is_fed_for_ever_expires_before_its_first_batches_are_gone() -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    for sequence in range(1, 5):
        clock.advance(11 * HOUR_S)
        put(ports, ref, sequence)
        assert state_after_sweep(ports, ref) is State.OPEN
    clock.advance(4 * HOUR_S)
    assert state_after_sweep(ports, ref) is State.EXPIRED
    assert reason_of(ports) == "open too long"
    with pytest.raises(SluiceError) as refused:
        put(ports, ref, 5)
    assert refused.value.code is ErrorCode.EXPIRED
