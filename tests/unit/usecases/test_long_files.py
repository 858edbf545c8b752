"""A file that takes longer than any time-out is finished by one attempt, as long as it moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import ManifestRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

BATCHES = 20


class SlowStore(ForwardingStore):
    """Each chunk takes so long."""

    def __init__(self, ports: Ports, clock: FakeClock, seconds: float) -> None:
        super().__init__(ports.objects)
        self._clock = clock
        self._seconds = seconds

    def get(self, key: str) -> bytes:
        if key.endswith(".chunk"):
            self._clock.advance(self._seconds)
        return super().get(key)


@pytest.mark.parametrize("format_", [ExportFormat.CSV, ExportFormat.XLSX, ExportFormat.JSONL])
def test_a_table_of_many_slow_batches_is_finished_by_one_attempt(format_: ExportFormat) -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    params = ExportParams(columns=(ColumnSpec("a"),), format=format_, filename="a")
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    for sequence in range(1, BATCHES + 1):
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=Batch.of_rows([(str(sequence),)], 1))
    task = close_export(ports, ref, CloseRequest(batches=BATCHES))
    began = clock.monotonic()
    slow = replace(ports, objects=SlowStore(ports, clock, ports.timings.attempt_max_s * 0.9))
    assert compose_export(slow, ManifestRef(ref, task.man_sha)) is Outcome.COMPLETED
    done = ports.tasks.read(ref)
    assert done is not None
    assert (done.state, done.epoch, done.result_rows) == (State.COMPLETED, 1, BATCHES)
    assert clock.monotonic() - began > 10 * ports.timings.attempt_max_s
