"""Composing with parts and chunks under way side by side: the same file, in bounded memory, nothing after an end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.thread_pool import ThreadedPool
from sluice.domain.keys import ManifestRef, TenantId
from sluice.domain.limits import KIB, Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
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

PARAMS = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("a"),))
LIMITS = Limits(part_bytes_min=4 * KIB, parallel_parts=3, prefetched_chunks=2)
EXPECTED = {"get": LIMITS.prefetched_chunks, "put_part": LIMITS.parallel_parts}
BATCHES = 40
Answer = TypeVar("Answer")


class UnderWay(ForwardingStore):
    """Counts the gets and parts that are under way at one time, and may hurt one part."""

    def __init__(
        self, store: ObjectStore, hurt: Callable[[int], None] = lambda _: None, *, patience_s: float = 0
    ) -> None:
        super().__init__(store)
        self._hurt = hurt
        self._met = threading.Condition()
        self._patience_s = patience_s
        self._now = {"get": 0, "put_part": 0}
        self.most = {"get": 0, "put_part": 0}
        self.calls: list[str] = []

    def get(self, key: str) -> bytes:
        if not key.endswith(".chunk"):
            return self._store.get(key)  # the manifest, which comes alone
        return self._watched("get", lambda: self._store.get(key))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        def put() -> PartReceipt:
            self._hurt(part_number)
            return self._store.put_part(upload, part_number, data)

        return self._watched("put_part", put)

    def abort_upload(self, upload: Upload) -> None:
        self.calls.append("abort_upload")
        super().abort_upload(upload)

    def _watched(self, name: str, call: Callable[[], Answer]) -> Answer:
        with self._met:
            self.calls.append(name)
            self._now[name] += 1
            self.most[name] = max(self.most[name], self._now[name])
            self._met.notify_all()
            # Until all threads have met once; one that comes late, or is alone for good, does not wait for ever.
            self._met.wait_for(lambda: self.most[name] >= EXPECTED[name], timeout=self._patience_s)
        try:
            return call()
        finally:
            with self._met:
                self._now[name] -= 1


def sealed(ports: Ports) -> Task:
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS, idempotency_key="k")).task.ref
    for sequence in range(1, BATCHES + 1):
        rows = [(f"{sequence}/{row} " + "x" * 20,) for row in range(100)]
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=Batch.of_rows(rows, 1))
    return close_export(ports, ref, CloseRequest())


def composed(ports: Ports) -> tuple[Outcome, Task]:
    task = sealed(ports)
    outcome = compose_export(ports, ManifestRef(task.ref, task.man_sha))
    row = ports.tasks.read(task.ref)
    assert row is not None
    return outcome, row


def in_a_pool(store: UnderWay, clock: FakeClock) -> Ports:
    return replace(memory_ports(clock), objects=store, pool=ThreadedPool(), limits=LIMITS)


def test_the_file_is_the_one_that_one_lane_makes() -> None:
    one_by_one = replace(memory_ports(FakeClock()), limits=LIMITS)
    store = UnderWay(MemoryStore(clock=FakeClock()))
    side_by_side = in_a_pool(store, FakeClock())
    (_, plain), (_, laned) = composed(one_by_one), composed(side_by_side)
    assert laned.parts_done == plain.parts_done > LIMITS.parallel_parts
    assert one_by_one.objects.get(plain.result_key) == side_by_side.objects.get(laned.result_key)


def test_no_more_is_under_way_than_the_limits_say() -> None:
    store = UnderWay(MemoryStore(clock=FakeClock()), patience_s=10)
    outcome, _ = composed(in_a_pool(store, FakeClock()))
    assert outcome is Outcome.COMPLETED
    assert store.most == EXPECTED


@pytest.mark.parametrize("hurt_part", [1, 2, 5])
def test_a_part_that_cannot_be_put_ends_the_attempt_and_nothing_is_put_behind_the_abort(hurt_part: int) -> None:
    def hurt(part_number: int) -> None:
        if part_number == hurt_part:
            raise OutcomeUnknown

    store = UnderWay(MemoryStore(clock=FakeClock()), hurt)
    ports = in_a_pool(store, FakeClock())
    outcome, row = composed(ports)
    assert (outcome, row.state) == (Outcome.RELEASED, State.SEALED)
    assert store.calls.count("abort_upload") == 1
    assert "put_part" not in store.calls[store.calls.index("abort_upload") :]
    assert list(ports.objects.list_uploads("")) == []
