"""Uploads in parts, staged in folders until they become objects.

An upload is open exactly as long as its folder has a body. Completing moves
the body to the object's place, so the object appears and the upload is over in
one rename. Everybody who touches an upload holds the lock on its body, across
threads and processes; a killed process loses it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from sluice.adapters.directory.atomic_file import (
    NO_FILE,
    PRIVATE_FOLDER_MODE,
    PRIVATE_MODE,
    Publisher,
    Sync,
    read_file,
    sync_folder,
    unknown_when_disk_fails,
    write_private,
)
from sluice.adapters.directory.staged_upload import BODY, LEDGER, StagedUpload
from sluice.adapters.object_names import check_part_number
from sluice.ports.clock import Randomness
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import NoSuchUpload

_ABOUT = "about.json"
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class _About(msgspec.Struct, frozen=True):
    """What was said when the upload was begun."""

    key: str
    metadata: dict[str, str]


class DirectoryUploads:
    """The uploads below one folder. Only ``list`` translates an OSError; its caller translates the others."""

    def __init__(
        self,
        folder: Path,
        *,
        publisher: Publisher,
        randomness: Randomness,
        sync: Sync,
        check_room: Callable[[int], object],
    ) -> None:
        self._folder = folder
        self._publisher = publisher
        self._randomness = randomness
        self._sync = sync
        self._check_room = check_room

    def begin(self, key: str, metadata: dict[str, str]) -> Upload:
        """Make an upload's files; the body last, which opens it: no power failure leaves a body without the others."""
        upload = Upload(key, self._randomness.bytes(16).hex())
        folder = self._folder / upload.upload_id
        folder.mkdir(PRIVATE_FOLDER_MODE)
        write_private(folder / _ABOUT, msgspec.json.encode(_About(key, metadata)), sync=self._sync)
        (folder / LEDGER).touch(PRIVATE_MODE)
        sync_folder(folder, self._sync)
        (folder / BODY).touch(PRIVATE_MODE)
        return upload

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        check_part_number(part_number)
        with self._locked(upload) as staged:
            return staged.put_part(part_number, data)

    def complete(self, upload: Upload, receipts: Sequence[PartReceipt], target: Path) -> None:
        folder = self._folder / upload.upload_id
        with self._locked(upload) as staged:
            about = _read_about(folder)
            if about is None or about.key != upload.key:
                raise NoSuchUpload(upload.upload_id)
            whole = staged.assemble(receipts, about.metadata, self._sync)
            self._publisher.publish(whole, target)
            staged.end()
        shutil.rmtree(folder, ignore_errors=True)

    def abort(self, upload: Upload) -> None:
        with suppress(NoSuchUpload):
            with self._locked(upload) as staged:
                staged.end()
            shutil.rmtree(self._folder / upload.upload_id, ignore_errors=True)

    def list(self, prefix: str) -> Iterator[Upload]:
        """Yield the open uploads; one that cannot be read is of no known key, and ends no listing."""
        with unknown_when_disk_fails():
            folders = list(self._upload_folders())
        for folder in folders:
            upload = None
            with suppress(OSError):
                upload = _read_upload(folder)
            if upload is not None and upload.key.startswith(prefix):
                yield upload

    def remove_leftovers(self, *, before: float) -> int:
        """Remove the folders of uploads that are over, or unreadable, and did not change lately."""
        removed = 0
        for folder in self._upload_folders():
            with suppress(OSError):  # over since, or it cannot be opened, and may be another's
                if folder.stat(follow_symlinks=False).st_mtime < before and _read_upload(folder) is None:
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += not folder.exists()
        return removed

    def _upload_folders(self) -> Iterator[Path]:
        return (folder for folder in self._folder.iterdir() if _UPLOAD_ID.fullmatch(folder.name))

    @contextmanager
    def _locked(self, upload: Upload) -> Iterator[StagedUpload]:
        if not _UPLOAD_ID.fullmatch(upload.upload_id):
            raise NoSuchUpload(upload.upload_id)
        folder = self._folder / upload.upload_id
        try:
            body = (folder / BODY).open("r+b", buffering=0)
        except NO_FILE:
            raise NoSuchUpload(upload.upload_id) from None
        with body:
            fcntl.flock(body, fcntl.LOCK_EX)
            if not _is_still(folder / BODY, body.fileno()):  # completed or aborted while we waited for the lock
                raise NoSuchUpload(upload.upload_id)
            yield StagedUpload(folder, body, self._check_room)


def _read_about(folder: Path) -> _About | None:
    """Read what was said at the begin; None if it is gone or unreadable: an upload of no known key is nothing's."""
    try:
        return msgspec.json.decode(read_file(folder / _ABOUT), type=_About)
    except (msgspec.MsgspecError, UnicodeDecodeError, *NO_FILE):
        return None


def _read_upload(folder: Path) -> Upload | None:
    """Read which upload is in ``folder``; None if it is over, not begun yet, or unreadable."""
    if not (folder / BODY).exists():
        return None  # and what was said at the begin may be half written
    about = _read_about(folder)
    if about is None:
        return None
    try:
        return Upload(about.key, folder.name, (folder / _ABOUT).stat().st_mtime)
    except FileNotFoundError:
        return None  # over since


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
