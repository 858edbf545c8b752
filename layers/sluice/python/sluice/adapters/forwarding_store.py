"""Object stores in front of others: one that hands every call on, one that triggers composers, one of two buckets."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import chain

from sluice.domain.keys import TenantId, parse_manifest_key, tenant_of_key
from sluice.ports.invoker import Invoker
from sluice.ports.object_store import ListedObject, ObjectInfo, ObjectStore, OnUnreadable, PartReceipt, Upload


class ForwardingStore:
    """Hands every call on: what wrappers change a method or two of."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._store.put(key, data, metadata=metadata)

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def head(self, key: str) -> ObjectInfo:
        return self._store.head(key)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        return self._store.read_range(key, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        self._store.delete(keys)

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        return self._store.list(prefix, on_unreadable)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        return self._store.list_uploads(prefix)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._store.begin_upload(key, metadata=metadata)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._store.put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._store.complete_upload(upload, receipts)

    def abort_upload(self, upload: Upload) -> None:
        self._store.abort_upload(upload)


class TriggeringStore(ForwardingStore):
    """Invokes a composer whenever a manifest is put, the same one again too, as a bucket's trigger does."""

    def __init__(self, store: ObjectStore, invoker: Invoker) -> None:
        super().__init__(store)
        self._invoker = invoker

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        super().put(key, data, metadata=metadata)
        manifest = parse_manifest_key(key)
        if manifest is not None:
            self._invoker.invoke(manifest, epoch=0)


_INPUT_FOLDER = "in/"


class RoomyStore(ForwardingStore):
    """Takes no more chunks once ``check_room`` raises, and nothing of a tenant that ``check_share`` refuses.

    ``check_share`` has the tenant and how many bytes it is about to write, of chunks and of results. How much room
    results leave to batches is checked where their parts are written.
    """

    def __init__(
        self, store: ObjectStore, check_room: Callable[[], None], check_share: Callable[[TenantId, int], None]
    ) -> None:
        super().__init__(store)
        self._check_room = check_room
        self._check_share = check_share

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        if key.startswith(_INPUT_FOLDER) and parse_manifest_key(key) is None:
            self._check_room()
            self._check_tenant(key, len(data))
        super().put(key, data, metadata=metadata)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        self._check_tenant(upload.key, len(data))
        return super().put_part(upload, part_number, data)

    def _check_tenant(self, key: str, size: int) -> None:
        tenant = tenant_of_key(key)
        if tenant is not None:
            self._check_share(tenant, size)


class SplitStore:
    """Keys below ``in/`` live in ``input``, all others in ``output``.

    Two buckets, so that writing a result can never set off the input's trigger.
    """

    def __init__(self, *, input: ObjectStore, output: ObjectStore) -> None:  # noqa: A002 - the word for it
        self._input = input
        self._output = output

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._of(key).put(key, data, metadata=metadata)

    def get(self, key: str) -> bytes:
        return self._of(key).get(key)

    def head(self, key: str) -> ObjectInfo:
        return self._of(key).head(key)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        return self._of(key).read_range(key, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        for store in (self._input, self._output):
            store.delete([key for key in keys if self._of(key) is store])

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        if _covers_both(prefix):
            inputs = self._input.list(_INPUT_FOLDER, on_unreadable)
            return heapq.merge(inputs, self._output.list(prefix, on_unreadable))
        return self._of(prefix).list(prefix, on_unreadable)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        if _covers_both(prefix):
            return chain(self._input.list_uploads(_INPUT_FOLDER), self._output.list_uploads(prefix))
        return self._of(prefix).list_uploads(prefix)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._of(key).begin_upload(key, metadata=metadata)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._of(upload.key).put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._of(upload.key).complete_upload(upload, receipts)

    def abort_upload(self, upload: Upload) -> None:
        self._of(upload.key).abort_upload(upload)

    def _of(self, key: str) -> ObjectStore:
        return self._input if key.startswith(_INPUT_FOLDER) else self._output


def _covers_both(prefix: str) -> bool:
    return prefix != _INPUT_FOLDER and _INPUT_FOLDER.startswith(prefix)
