"""A bucket that only the services of one file of task rows change: to the walk of others all of it is orphaned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import INPUT_PREFIX, OUTPUT_PREFIX
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import ForeignObjects, NoSuchObject

OWNERS = {"in/owner": INPUT_PREFIX, "owner": OUTPUT_PREFIX}
"""Objects that have the id of the rows, and what lies in the same place: of two buckets each has one."""


class IdentifiedRows(Protocol):
    """Task rows that have an id; a backup has it too, and what is restored from that a new one."""

    def identify(self, proposed: str) -> str:
        """The id, for ever the same: ``proposed`` where there was none."""

    def is_empty(self) -> bool:
        """Whether there is no row, not even of an ended task."""


class OwnedStore(ForwardingStore):
    """Looks before its first change whose objects are there, and changes nothing of other rows'."""

    def __init__(self, store: ObjectStore, rows: IdentifiedRows, *, proposed: str, place: str) -> None:
        """``proposed`` is an id for rows that have none yet; ``place`` is what messages call the bucket."""
        super().__init__(store)
        self._rows = rows
        self._proposed = proposed
        self._place = place
        self._is_ours = False

    def check(self) -> None:
        """Note in an empty bucket, or one of rows that had no id yet, whose it is. Raises ``ForeignObjects``."""
        if self._is_ours:
            return
        rows_id = self._rows.identify(self._proposed).encode()
        for key, prefix in OWNERS.items():
            try:
                owner = self._store.get(key)
            except NoSuchObject:
                if self._rows.is_empty() and any(True for _ in self._store.list(prefix)):
                    raise self._foreign() from None
                self._store.put(key, rows_id)
                owner = self._store.get(key)  # another service may have put its own meanwhile
            if owner != rows_id:
                raise self._foreign()
        self._is_ours = True

    def _foreign(self) -> ForeignObjects:
        advice = "put that back (a volume that is not mounted?), or give this service a bucket or a prefix of its own"
        if not self._rows.is_empty():
            advice += f"; if these rows are a backup of it, and its service runs no more, remove {' and '.join(OWNERS)}"
        return ForeignObjects(
            f"{self._place} has the objects of another tasks.sqlite3, and nothing of them is changed: {advice}"
        )

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self.check()
        super().put(key, data, metadata=metadata)

    def delete(self, keys: Sequence[str]) -> None:
        self.check()
        super().delete(keys)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        self.check()
        return super().begin_upload(key, metadata=metadata)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        self.check()
        return super().put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self.check()
        super().complete_upload(upload, receipts)

    def abort_upload(self, upload: Upload) -> None:
        self.check()
        super().abort_upload(upload)
