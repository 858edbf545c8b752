"""Rings the doorbell when a manifest is put: the local twin of the object store's trigger."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import parse_manifest_key
from sluice.ports.invoker import Invoker
from sluice.ports.object_store import ObjectStore


class TriggeringStore(ForwardingStore):
    """Like the trigger it stands for, it rings again when the same manifest is put again."""

    def __init__(self, store: ObjectStore, invoker: Invoker) -> None:
        super().__init__(store)
        self._invoker = invoker

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        super().put(key, data, metadata=metadata)
        manifest = parse_manifest_key(key)
        if manifest is not None:
            self._invoker.invoke(manifest, epoch=0)
