"""An object store that hands every call on to another: what wrappers change a method or two of."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from sluice.ports.object_store import ListedObject, ObjectInfo, ObjectStore, PartReceipt, Upload


class ForwardingStore:
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

    def list(self, prefix: str) -> Iterator[ListedObject]:
        return self._store.list(prefix)

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
