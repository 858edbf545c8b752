"""An attempt that waits for a slow store is alive, and shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.system_clock import SystemClock
from sluice.adapters.thread_pool import ThreadedPool
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, parse_manifest_key
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
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
PATIENCE_S = 5
"""How long a slow call waits for heartbeats before it gives up on them."""


class SlowStore(ForwardingStore):
    """A store in which one kind of call takes until the lease was extended twice."""

    def __init__(self, ports: Ports, ref: TaskRef, slow_call: str) -> None:
        super().__init__(ports.objects)
        self._ports = ports
        self._ref = ref
        self._slow_call = slow_call
        self.beats_seen = 0

    def get(self, key: str) -> bytes:
        if parse_manifest_key(key) is None:
            self._dawdle("get")
        return super().get(key)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        self._dawdle("put_part")
        return super().put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._dawdle("complete_upload")
        super().complete_upload(upload, receipts)

    def _dawdle(self, call: str) -> None:
        if call != self._slow_call:
            return
        for _ in range(2):
            lease_until = self._lease_until()
            if _becomes_true(lambda: self._lease_until() > lease_until):  # noqa: B023 - called at once
                self.beats_seen += 1

    def _lease_until(self) -> float:
        task = self._ports.tasks.read(self._ref)
        assert task is not None
        return task.lease_until


def _becomes_true(holds: Callable[[], bool]) -> bool:
    over = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > over:
            return False
        time.sleep(0.005)
    return True


@pytest.mark.parametrize("slow_call", ["get", "put_part", "complete_upload"])
def test_the_lease_is_kept_while_a_call_to_the_store_takes_long(slow_call: str) -> None:
    ports = memory_ports(FakeClock())
    ports = replace(
        ports,
        clock=SystemClock(),
        pool=ThreadedPool(pause_s=0.01),
        timings=msgspec.structs.replace(ports.timings, heartbeat_s=0.05),
    )
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    man_sha = close_export(ports, ref, CloseRequest(batches=1)).man_sha
    slow = SlowStore(ports, ref, slow_call)
    assert compose_export(replace(ports, objects=slow), ManifestRef(ref, man_sha)) is Outcome.COMPLETED
    assert slow.beats_seen == 2


class BreaksAtParts(ForwardingStore):
    """A store that takes no part, and notes who still works for the attempt when it is cleaned up."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self.at_work: list[str] = []

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        raise OutcomeUnknown("no answer")

    def abort_upload(self, upload: Upload) -> None:
        self.at_work = [thread.name for thread in threading.enumerate() if thread.name.startswith("pool")]
        super().abort_upload(upload)


def test_nobody_reads_on_for_an_attempt_that_is_cleaned_up() -> None:
    ports = replace(memory_ports(FakeClock()), pool=ThreadedPool(), limits=Limits(part_bytes_min=1))
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    for sequence in range(1, 9):
        batch = Batch.of_rows([("x" * 1000,)] * 1000, 1)  # more than any writer holds back
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch)
    man_sha = close_export(ports, ref, CloseRequest(batches=8)).man_sha
    breaking = BreaksAtParts(ports.objects)
    assert compose_export(replace(ports, objects=breaking), ManifestRef(ref, man_sha)) is Outcome.RELEASED
    assert breaking.at_work == []
