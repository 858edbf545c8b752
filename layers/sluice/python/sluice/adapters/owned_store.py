"""Rows and objects that belong together: a bucket is used by the services of one file of rows, and rows with one store.

To the walk of other rows all of a bucket is orphaned; in another store the exports of rows have no objects, and fail.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Protocol

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.keys import INPUT_PREFIX, OUTPUT_PREFIX
from sluice.ports.clock import Clock
from sluice.ports.object_store import (
    SOME_BUCKET,
    ObjectInfo,
    ObjectsPlace,
    ObjectStore,
    PartReceipt,
    Upload,
)
from sluice.ports.store_errors import ForeignObjects, NoSuchObject, StoreError

OWNERS = {"in/owner": INPUT_PREFIX, "owner": OUTPUT_PREFIX}
"""Objects that have the id of the rows, and what lies in the same place: of two buckets each has one."""
SETTLE_TIMES = 10
SETTLE_S_MAX = 10.0
"""Who puts the owner waits so many times as long as the look at the bucket took, at most this, and looks again: stores
keep the last of two services that put theirs in the same moment."""
LOOK_AGAIN_S = 600
"""After this the owner is looked at again: one that was put later than that is noticed before the weekly walk."""
_SAMPLED = 5
"""Rows of which at least one has to have its objects where no owner says that they are there."""


class IdentifiedRows(Protocol):
    """Task rows that have an id; a backup has it too, and what is restored from that a new one."""

    def identify(self, proposed: str) -> str:
        """The id, for ever the same: ``proposed`` where there was none."""

    def is_empty(self) -> bool:
        """Whether there is no row, not even of an ended task."""

    def read_place(self) -> ObjectsPlace | None:
        """Which store has their objects; None where it was not noted yet. A backup has the note too."""

    def note_place(self, place: ObjectsPlace) -> None:
        """Write down which store has them from now on."""

    def may_have_objects(self) -> bool:
        """Whether there is a row that may have objects."""

    def sample_folders(self, limit: int) -> list[str]:
        """Folders of objects that have to be there unless they were lost, of some rows."""


def settle_beside(rows: IdentifiedRows, store: ObjectStore, here: ObjectsPlace) -> None:
    """Note that the objects of ``rows`` lie beside them. Raises ``ForeignObjects`` where they are elsewhere.

    Rows of an earlier release have no note: theirs are where at least one of a few is found.
    """
    noted = rows.read_place()
    if noted == here:
        return
    _refuse_other_kind(rows, noted, here)
    is_here = True
    # A folder that cannot be opened, or a disk that is full to its last byte: a later start notes it.
    with suppress(StoreError):
        is_here = noted is not None or _has_any(store, rows.sample_folders(_SAMPLED))
        if is_here:
            rows.note_place(here)
    if not is_here:
        raise elsewhere(noted, here)


def _refuse_other_kind(rows: IdentifiedRows, noted: ObjectsPlace | None, here: ObjectsPlace) -> None:
    if is_other_kind(noted, here) and rows.may_have_objects():
        raise elsewhere(noted, here)


def is_other_kind(noted: ObjectsPlace | None, here: ObjectsPlace) -> bool:
    """Whether one of the two is a bucket and the other is not. Another name may be the same bucket's."""
    return noted is not None and bool(noted.name) != bool(here.name)


def _has_any(store: ObjectStore, folders: Sequence[str]) -> bool:
    """Whether one of the folders has an object, or there is none to look into."""
    return not folders or any(True for folder in folders for _ in store.list(folder))


def elsewhere(noted: ObjectsPlace | None, here: ObjectsPlace) -> ForeignObjects:
    """What is said where the objects are not in the store that the settings name."""
    where = f"in {noted}, and not in {here}, which the settings name"
    if noted in {None, here}:
        where = f"in another store: {here}, which the settings name, has none of them"
    return ForeignObjects(
        f"the exports in tasks.sqlite3 have their objects {where}. Nothing is changed: give the service's own settings "
        "(its environment, --config). Objects do not move between stores: begin in another with a new data directory"
    )


class OwnedStore(ForwardingStore):
    """Looks before its first use whose objects are there, and changes and reads nothing of other rows'.

    Reads too: an export whose chunks are missing, since this is another store, would fail for good.
    """

    def __init__(
        self, store: ObjectStore, rows: IdentifiedRows, *, proposed: str, place: ObjectsPlace, clock: Clock
    ) -> None:
        """``proposed`` is an id for rows that have none yet.

        Raises ``ForeignObjects`` where the objects of ``rows`` are known to be in another store.
        """
        super().__init__(store)
        self._rows = rows
        self._proposed = proposed
        self._place = place
        self._clock = clock
        self._ours_until = -inf
        noted = rows.read_place()
        _refuse_other_kind(rows, noted, place)
        if noted not in {None, SOME_BUCKET, place} and rows.may_have_objects():
            try:
                self.check()  # another name of the same store has its owner
            except ForeignObjects:
                raise
            except StoreError as error:
                raise elsewhere(noted, place) from error

    def check(self) -> None:
        """Note in an empty bucket, or one of rows that had no id yet, whose it is. Raises ``ForeignObjects``.

        A bucket that says nothing becomes that of rows whose objects are in it, and of rows that have none.
        """
        started = self._clock.monotonic()
        if started < self._ours_until:
            return
        noted = self._rows.read_place()
        found = {key: self._owner(key) for key in OWNERS}
        for key, prefix in OWNERS.items():
            if found[key] is not None:
                continue
            if self._rows.is_empty() and any(True for _ in self._store.list(prefix)):
                raise self._foreign()
            folders = [name for name in self._rows.sample_folders(_SAMPLED) if name.startswith(prefix)]
            if not _has_any(self._store, folders):
                raise elsewhere(noted, self._place)
        rows_id = self._rows.identify(self._proposed).encode()
        missing = [key for key, owner in found.items() if owner is None]
        if set(found.values()) - {None, rows_id}:
            raise self._foreign()
        if missing:
            self._claim(missing, rows_id, started)
        if noted != self._place:
            self._rows.note_place(self._place)
        self._ours_until = self._clock.monotonic() + LOOK_AGAIN_S

    def _claim(self, missing: Sequence[str], rows_id: bytes, started: float) -> None:
        for key in missing:
            self._store.put(key, rows_id)
        self._clock.sleep(min(SETTLE_S_MAX, SETTLE_TIMES * (self._clock.monotonic() - started)))
        if any(self._owner(key) != rows_id for key in OWNERS):
            raise self._foreign()

    def _owner(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except NoSuchObject:
            return None

    def _foreign(self) -> ForeignObjects:
        advice = "put that back (a volume that is not mounted?), or give this service a bucket or a prefix of its own"
        if not self._rows.is_empty():
            advice += f"; if these rows are a backup of it, and its service runs no more, remove {' and '.join(OWNERS)}"
        return ForeignObjects(
            f"{self._place.name} has the objects of another tasks.sqlite3, and nothing of them is changed: {advice}"
        )

    def get(self, key: str) -> bytes:
        self.check()
        return super().get(key)

    def head(self, key: str) -> ObjectInfo:
        self.check()
        return super().head(key)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        self.check()
        return super().read_range(key, start, end)

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
