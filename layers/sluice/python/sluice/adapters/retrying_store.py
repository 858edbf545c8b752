"""Repeats the object store's idempotent calls when their outcome is unknown."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from math import inf

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.ports.clock import Clock, Randomness
from sluice.ports.object_store import ObjectInfo, ObjectStore, PartReceipt, Upload
from sluice.ports.retry import Repeater
from sluice.ports.store_errors import OutcomeUnknown


class RetryingStore(ForwardingStore):
    """Not repeated are ``complete_upload`` and the listings.

    Completing again may say ``NoSuchUpload`` after a success, which only the
    caller can tell from a failure; a listing is made again by the next sweep.
    A repeated ``begin_upload`` may leave an upload that no row names;
    garbage collection finds it by its key. No call is tried again later than
    ``within_s`` after it began; each block of a range is a call.
    """

    def __init__(
        self, store: ObjectStore, *, clock: Clock, randomness: Randomness, tries: int = 4, within_s: float = inf
    ) -> None:
        super().__init__(store)
        self._repeater = Repeater(clock=clock, randomness=randomness, tries=tries, within_s=within_s)

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._repeater.call(lambda: self._store.put(key, data, metadata=metadata))

    def get(self, key: str) -> bytes:
        return self._repeater.call(lambda: self._store.get(key))

    def head(self, key: str) -> ObjectInfo:
        return self._repeater.call(lambda: self._store.head(key))

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        """Go on behind the last good block after a failure, so the object must not be replaced meanwhile."""
        position = start
        blocks = self._store.read_range(key, position, end)

        def next_block() -> bytes:
            nonlocal blocks
            try:
                return next(blocks, b"")
            except OutcomeUnknown:
                blocks = self._store.read_range(key, position, end)
                raise

        try:
            while block := self._repeater.call(next_block):
                yield block
                position += len(block)
        finally:
            blocks.close()

    def delete(self, keys: Sequence[str]) -> None:
        self._repeater.call(lambda: self._store.delete(keys))

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._repeater.call(lambda: self._store.begin_upload(key, metadata=metadata))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._repeater.call(lambda: self._store.put_part(upload, part_number, data))

    def abort_upload(self, upload: Upload) -> None:
        self._repeater.call(lambda: self._store.abort_upload(upload))
