"""Objects as files of one directory, for one machine: any number of threads and processes may share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sluice.adapters.crc64 import crc64_of
from sluice.adapters.directory.atomic_file import (
    NO_FILE,
    Publisher,
    Sync,
    make_folder,
    unknown_when_disk_fails,
    write_private,
)
from sluice.adapters.directory.object_file import Label, ObjectFolder, open_object, read_verified
from sluice.adapters.directory.uploads import DirectoryUploads
from sluice.adapters.object_names import check_key, check_metadata, check_prefix
from sluice.ports.clock import Randomness
from sluice.ports.object_store import ListedObject, ObjectInfo, OnUnreadable, PartReceipt, Upload


class DirectoryStore:
    """An object store below ``root``: ``objects/`` by key, ``uploads/`` by upload id, ``staging/`` for puts.

    The store's clock is the file system's. ``sync`` brings a file to the disk; tests may pass one that does nothing.
    ``check_room`` is called before each write of so many bytes of an upload, joining it included, and may raise.
    """

    def __init__(
        self,
        root: Path,
        *,
        randomness: Randomness,
        sync: Sync = os.fsync,
        check_room: Callable[[int], object] = lambda _: None,
    ) -> None:
        objects, uploads, staging = (root.absolute() / name for name in ("objects", "uploads", "staging"))
        with unknown_when_disk_fails():
            for folder in (objects, uploads, staging):
                make_folder(folder, sync, keeps_owner=True)
        self._randomness = randomness
        self._sync = sync
        self._objects = ObjectFolder(objects)
        self._staging = staging
        self._publisher = Publisher(objects, sync)
        self._uploads = DirectoryUploads(
            uploads, publisher=self._publisher, randomness=randomness, sync=sync, check_room=check_room
        )

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        target = self._objects.path(key)
        label = Label(len(data), crc64_of(data), dict(metadata or {}))
        check_metadata(label.metadata)
        staged = self._staging / self._randomness.bytes(16).hex()
        with unknown_when_disk_fails():
            try:
                write_private(staged, data, label.encode(), sync=self._sync)
                self._publisher.publish(staged, target)
            except OSError:
                with suppress(OSError):
                    staged.unlink()
                raise

    def get(self, key: str) -> bytes:
        with open_object(self._objects.path(key)) as (file, label):
            file.seek(0)
            return file.read(label.size)

    def head(self, key: str) -> ObjectInfo:
        with open_object(self._objects.path(key)) as (_, label):
            return ObjectInfo(key, label.size, str(label.crc64), label.metadata)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        with open_object(self._objects.path(key)) as (file, label):
            yield from read_verified(file, label, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        targets = [self._objects.path(key) for key in keys]
        with unknown_when_disk_fails():
            failed: OSError | None = None
            for target in targets:
                try:
                    target.unlink()
                except NO_FILE:
                    pass
                except OSError as error:
                    failed = error  # the others go all the same
            for folder in {target.parent for target in targets}:
                self._publisher.prune(folder)
            if failed is not None:
                raise failed

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        return self._objects.list(prefix, on_unreadable)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        check_prefix(prefix)
        return self._uploads.list(prefix)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        check_key(key)
        check_metadata(metadata)
        with unknown_when_disk_fails():
            return self._uploads.begin(key, dict(metadata))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        with unknown_when_disk_fails():
            return self._uploads.put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        with unknown_when_disk_fails():
            self._uploads.complete(upload, receipts, self._objects.path(upload.key))

    def abort_upload(self, upload: Upload) -> None:
        with unknown_when_disk_fails():
            self._uploads.abort(upload)

    def remove_leftovers(self, *, now: float, older_than_s: float) -> int:
        """Remove what killed processes left and that was not touched for ``older_than_s``; say how many things.

        Uploads that are still open are no leftovers: the owner of their key aborts them.
        """
        before = now - older_than_s
        with unknown_when_disk_fails():
            removed = sum(_remove_if_older(staged, before) for staged in self._staging.iterdir())
            return removed + self._uploads.remove_leftovers(before=before)


def _remove_if_older(file: Path, before: float) -> bool:
    try:
        if file.stat(follow_symlinks=False).st_mtime >= before:
            return False
        file.unlink()
    except OSError:
        return False  # its put was done after all, or it is none of ours, or not ours to remove
    return True
