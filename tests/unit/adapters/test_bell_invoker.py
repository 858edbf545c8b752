"""Where only the bucket's trigger starts composers, a lost one is repaired by putting the manifest again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.function_compute.bell_invoker import BellInvoker
from sluice.adapters.memory.memory_store import MemoryStore
from sluice.adapters.triggering_store import TriggeringStore
from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, manifest_key, parse_manifest_key
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State
from sluice.ports.outside import Outside
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.compose_export import Outcome, compose_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.sweep_tasks import Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_outside import memory_outside
from tests.support.recorded_invoker import RecordedInvoker

REF = TaskRef(TenantId("acme"), TaskId("abcdefghijklmnopqrstuvwxyz"))
SHA = "0123456789abcdef0123456789abcdef"


class DiesAtTheManifest(ForwardingStore):
    """A relay's store: the relay is gone before its manifest is put."""

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        if parse_manifest_key(key):
            raise OutcomeUnknown("the relay died")
        super().put(key, data, metadata=metadata)


def sealed_without_a_bell(outside: Outside) -> TaskRef:
    params = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")
    ref = open_export(outside, TenantId("acme"), OpenRequest(params)).task.ref
    put_batch(outside, Definitions(outside), ref, sequence=1, batch=Batch.of_rows([("x",), ("y",)], 1))
    dying = replace(outside, objects=DiesAtTheManifest(outside.objects))
    with pytest.raises(OutcomeUnknown):
        close_export(dying, ref, CloseRequest(batches=1))
    return ref


def test_the_manifest_is_put_again_as_it_is() -> None:
    store, trigger = MemoryStore(clock=FakeClock()), RecordedInvoker()
    store.put(manifest_key(REF, SHA), b"manifest")
    BellInvoker(TriggeringStore(store, trigger)).invoke(ManifestRef(REF, SHA), epoch=3)
    assert [ring.manifest for ring in trigger.rings] == [ManifestRef(REF, SHA)]
    assert store.get(manifest_key(REF, SHA)) == b"manifest"


def test_a_task_whose_manifest_was_never_put_is_composed_all_the_same() -> None:
    clock, trigger = FakeClock(), RecordedInvoker()
    outside = memory_outside(clock)
    ref = sealed_without_a_bell(outside)
    clock.advance(outside.timings.bell_grace_s)
    ringing = replace(outside, invoker=BellInvoker(TriggeringStore(outside.objects, trigger)))
    assert sweep_tasks(ringing) == {Swept.LOST_BELL: 1}
    (ring,) = trigger.rings
    assert compose_export(outside, ring.manifest) is Outcome.COMPLETED
    task = outside.tasks.read(ref)
    assert task is not None
    assert (task.state, task.result_rows) == (State.COMPLETED, 2)
    assert outside.objects.get(task.result_key).decode("utf-8-sig").split() == ["a", "x", "y"]
