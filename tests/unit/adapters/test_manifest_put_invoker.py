"""Where only the bucket's trigger starts composers, a lost one is repaired by putting the manifest again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sluice.adapters.aliyun.function_compute.manifest_put_invoker import ManifestPutInvoker
from sluice.adapters.forwarding_store import ForwardingStore, TriggeringStore
from sluice.adapters.memory.store import MemoryStore
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, manifest_key, parse_manifest_key
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.sweep_tasks import Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_invoker import RecordedInvoker

REF = TaskRef(TenantId("acme"), TaskId("abcdefghijklmnopqrstuvwxyz"))
SHA = "0123456789abcdef0123456789abcdef"


class DiesAtTheManifest(ForwardingStore):
    """A relay's store: the relay is gone before its manifest is put."""

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        if parse_manifest_key(key):
            raise OutcomeUnknown("the relay died")
        super().put(key, data, metadata=metadata)


def sealed_without_a_trigger(ports: Ports) -> TaskRef:
    params = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",), ("y",)], 1))
    dying = replace(ports, objects=DiesAtTheManifest(ports.objects))
    with pytest.raises(OutcomeUnknown):
        close_export(dying, ref, CloseRequest(batches=1))
    return ref


def test_the_manifest_is_put_again_as_it_is() -> None:
    store, trigger = MemoryStore(clock=FakeClock()), RecordedInvoker()
    store.put(manifest_key(REF, SHA), b"manifest")
    ManifestPutInvoker(TriggeringStore(store, trigger)).invoke(ManifestRef(REF, SHA), epoch=3)
    assert [ring.manifest for ring in trigger.rings] == [ManifestRef(REF, SHA)]
    assert store.get(manifest_key(REF, SHA)) == b"manifest"


def test_a_task_whose_manifest_was_never_put_is_composed_all_the_same() -> None:
    clock, trigger = FakeClock(), RecordedInvoker()
    ports = memory_ports(clock)
    ref = sealed_without_a_trigger(ports)
    clock.advance(ports.timings.trigger_grace_s)
    ringing = replace(ports, invoker=ManifestPutInvoker(TriggeringStore(ports.objects, trigger)))
    assert sweep_tasks(ringing) == {Swept.LOST_TRIGGER: 1}
    (ring,) = trigger.rings
    assert compose_export(ports, ring.manifest) is Outcome.COMPLETED
    task = ports.tasks.read(ref)
    assert task is not None
    assert (task.state, task.result_rows) == (State.COMPLETED, 2)
    assert ports.objects.get(task.result_key).decode("utf-8-sig").split() == ["a", "x", "y"]
