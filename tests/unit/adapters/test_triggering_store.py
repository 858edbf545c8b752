"""The local doorbell rings when a manifest is stored, and at no other time."""

from __future__ import annotations

import pytest

from sluice.adapters.forwarding_store import TriggeringStore
from sluice.adapters.memory.store import MemoryStore
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, chunk_key, manifest_key, result_key
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.fake_clock import FakeClock
from tests.support.recorded_invoker import RecordedInvoker, Ring

REF = TaskRef(TenantId("acme"), TaskId("abcdefghijklmnopqrstuvwxyz"))
SHA = "0123456789abcdef0123456789abcdef"


class LookingInvoker(RecordedInvoker):
    """Notes what is in the store when it is rung."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__()
        self.store = store
        self.seen: list[bytes] = []

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        super().invoke(manifest, epoch=epoch)
        self.seen.append(self.store.get(manifest_key(manifest.task, manifest.sha)))


class FailingStore(MemoryStore):
    """Stores what is put and then says that it does not know."""

    def put(self, key: str, data: bytes, *, metadata: object = None) -> None:
        super().put(key, data)
        raise OutcomeUnknown("lost")


def test_putting_a_manifest_rings_once_it_is_stored() -> None:
    store = MemoryStore(clock=FakeClock())
    invoker = LookingInvoker(store)
    TriggeringStore(store, invoker).put(manifest_key(REF, SHA), b"manifest", metadata={"m": "1"})
    assert invoker.rings == [Ring(ManifestRef(REF, SHA), 0)]
    assert invoker.seen == [b"manifest"]
    assert dict(store.head(manifest_key(REF, SHA)).metadata) == {"m": "1"}


def test_putting_the_manifest_again_rings_again() -> None:
    invoker = RecordedInvoker()
    store = TriggeringStore(MemoryStore(clock=FakeClock()), invoker)
    for _ in range(2):
        store.put(manifest_key(REF, SHA), b"manifest")
    assert len(invoker.rings) == 2


@pytest.mark.parametrize(
    "key",
    [
        chunk_key(REF, 1, SHA),
        result_key(REF, epoch=1, nonce="0" * 16, extension="csv"),
        f"elsewhere/{manifest_key(REF, SHA)}",
        manifest_key(REF, SHA).replace("/m/", "/n/"),
        manifest_key(REF, SHA) + ".bak",
        manifest_key(REF, "F" * 32),
    ],
)
def test_no_other_object_rings(key: str) -> None:
    invoker = RecordedInvoker()
    TriggeringStore(MemoryStore(clock=FakeClock()), invoker).put(key, b"data")
    assert invoker.rings == []


def test_a_put_that_failed_does_not_ring() -> None:
    invoker = RecordedInvoker()
    store = TriggeringStore(FailingStore(clock=FakeClock()), invoker)
    with pytest.raises(OutcomeUnknown):
        store.put(manifest_key(REF, SHA), b"manifest")
    assert invoker.rings == []


def test_an_upload_to_a_manifest_key_does_not_ring() -> None:
    """The trigger listens to PutObject alone."""
    invoker = RecordedInvoker()
    store = TriggeringStore(MemoryStore(clock=FakeClock()), invoker)
    upload = store.begin_upload(manifest_key(REF, SHA), metadata={})
    store.complete_upload(upload, [store.put_part(upload, 1, b"manifest")])
    assert store.get(manifest_key(REF, SHA)) == b"manifest"
    assert invoker.rings == []
