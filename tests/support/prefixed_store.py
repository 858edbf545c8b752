"""A store inside another: its keys all begin with a prefix, so that a test may have a shared bucket for itself."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from sluice.ports.object_store import ListedObject, ObjectInfo, ObjectStore, OnUnreadable, PartReceipt, Upload


class PrefixedStore:
    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def clear(self) -> None:
        """Remove every object and every upload below the prefix."""
        for upload in list(self._store.list_uploads(self._prefix)):
            self._store.abort_upload(upload)
        self._store.delete([item.key for item in self._store.list(self._prefix)])

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._store.put(self._prefix + key, data, metadata=metadata)

    def get(self, key: str) -> bytes:
        return self._store.get(self._prefix + key)

    def head(self, key: str) -> ObjectInfo:
        return self._store.head(self._prefix + key)._replace(key=key)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        return self._store.read_range(self._prefix + key, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        self._store.delete([self._prefix + key for key in keys])

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        for item in self._store.list(self._prefix + prefix, on_unreadable):
            yield item._replace(key=item.key.removeprefix(self._prefix))

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        for upload in self._store.list_uploads(self._prefix + prefix):
            yield self._inner(upload)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._inner(self._store.begin_upload(self._prefix + key, metadata=metadata))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._store.put_part(self._outer(upload), part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._store.complete_upload(self._outer(upload), receipts)

    def abort_upload(self, upload: Upload) -> None:
        self._store.abort_upload(self._outer(upload))

    def _inner(self, upload: Upload) -> Upload:
        return upload._replace(key=upload.key.removeprefix(self._prefix))

    def _outer(self, upload: Upload) -> Upload:
        return upload._replace(key=self._prefix + upload.key)
