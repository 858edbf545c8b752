"""Uploads in parts: each part an object of its own, until completing makes one object of them.

obstore has no parts by number, and no listing of what is under way, so both
are built of what every store has. ``@uploads/{key}/{upload id}/`` holds
``begin`` with the metadata, a part under its number, and ``complete`` once
a process completes it. No key contains ``@``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import groupby

import msgspec

from sluice.adapters.crc64 import crc64_of, join_crc64
from sluice.adapters.object_names import check_key, check_metadata, check_order, check_part_number, check_prefix
from sluice.adapters.s3.bucket import S3Bucket, StoredObject
from sluice.adapters.s3.errors import AlreadyThere
from sluice.adapters.thread_pool import ThreadedPool
from sluice.ports.clock import Randomness
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import InvalidParts, NoSuchObject, NoSuchUpload, StoreError

FOLDER = "@uploads/"
READ_AHEAD = 2
"""Parts that are read back at a time."""

_BEGIN = "begin"
_COMPLETE = "complete"
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CHECKSUM = re.compile(r"[0-9a-f]{16}", re.ASCII)


class S3Uploads:
    """An upload is open as long as ``begin`` is there and ``complete`` is not. Safe in several processes."""

    def __init__(self, bucket: S3Bucket, randomness: Randomness) -> None:
        self._bucket = bucket
        self._randomness = randomness
        self._pool = ThreadedPool()

    def begin(self, key: str, metadata: dict[str, str]) -> Upload:
        check_key(key)
        check_metadata(metadata)
        upload = Upload(key, self._randomness.bytes(16).hex())
        self._bucket.put(_folder_of(upload) + _BEGIN, msgspec.json.encode(metadata), {})
        return upload

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        """Put a part, then look whether the upload is still open: a part that came late leaves nothing behind."""
        check_part_number(part_number)
        folder = _folder_of(upload)
        part = _part(folder, part_number)
        self._bucket.put(part, data, {})
        try:
            self._bucket.head(folder + _BEGIN)
        except NoSuchObject:
            self._bucket.delete([part])
            raise NoSuchUpload(upload.upload_id) from None
        return PartReceipt(part_number, f"{crc64_of(data):016x}", len(data))

    def complete(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        """Make the object of the parts, read back and compared with their receipts on the way.

        Of many at once, one does. A completion that fails opens the upload
        again. Its requests are repeated here: they are too many for the caller
        to begin with all of them anew.
        """
        folder = _folder_of(upload)
        crc64 = _joined(receipts)
        stored = StoredObject(sum(receipt.size for receipt in receipts), crc64, self._read_begin(upload))
        self._close(upload)
        try:
            with closing(self._pool.map(partial(self._read_part, folder), receipts, concurrency=READ_AHEAD)) as parts:
                self._bucket.stream(upload.key, parts, stored)
        except BaseException as error:
            with suppress(StoreError):  # if that fails too, the upload is over
                self._bucket.delete([folder + _COMPLETE])
            if isinstance(error, InvalidParts):
                self._read_begin(upload)  # no part is missing from an upload that was aborted meanwhile
            raise
        with suppress(StoreError):  # what is left is listed as an upload, and aborted with those of its key
            self.abort(upload)

    def abort(self, upload: Upload) -> None:
        """Close the upload first, so that parts that come from now on remove themselves; then remove the others."""
        with suppress(NoSuchUpload):
            folder = _folder_of(upload)
            self._bucket.delete([folder + _BEGIN])
            self._bucket.delete([line.path for line in self._bucket.list(folder)])

    def list(self, prefix: str) -> Iterator[Upload]:
        """Yield every upload of which anything is left, were it only a part that a killed process put late."""
        check_prefix(prefix)
        lines = self._bucket.list(FOLDER + prefix)
        for folder, left in groupby(lines, lambda line: line.path.rpartition("/")[0]):
            key, _, upload_id = folder.removeprefix(FOLDER).rpartition("/")
            times = {line.path.rpartition("/")[2]: line.modified_at for line in left}
            # when it was begun; when its last part was put, if nothing else is left of it
            yield Upload(key, upload_id, times.get(_BEGIN, max(times.values())))

    def _read_begin(self, upload: Upload) -> dict[str, str]:
        try:
            data = self._bucket.get(_folder_of(upload) + _BEGIN)
        except NoSuchObject:
            raise NoSuchUpload(upload.upload_id) from None
        return msgspec.json.decode(data, type=dict[str, str])

    def _close(self, upload: Upload) -> None:
        """Claim the completion. Raises ``NoSuchUpload`` when another process has it."""
        marker, ours = _folder_of(upload) + _COMPLETE, self._randomness.bytes(16)
        try:
            self._bucket.put_new(marker, ours)
        except AlreadyThere:
            with suppress(NoSuchObject):
                if self._bucket.get(marker) == ours:
                    return  # the answer to our first try was lost
            raise NoSuchUpload(upload.upload_id) from None

    def _read_part(self, folder: str, receipt: PartReceipt) -> bytes:
        try:
            data = self._bucket.get(_part(folder, receipt.part_number), steadily=True)
        except NoSuchObject:
            raise InvalidParts(f"part {receipt.part_number} was never put") from None
        if (f"{crc64_of(data):016x}", len(data)) != (receipt.etag, receipt.size):
            raise InvalidParts(f"part {receipt.part_number} is not what its receipt says")
        return data


def _folder_of(upload: Upload) -> str:
    check_key(upload.key)
    if not _UPLOAD_ID.fullmatch(upload.upload_id):
        raise NoSuchUpload(upload.upload_id)
    return f"{FOLDER}{upload.key}/{upload.upload_id}/"


def _part(folder: str, part_number: int) -> str:
    return f"{folder}{part_number:05d}"


def _joined(receipts: Sequence[PartReceipt]) -> int:
    """Compute the checksum of the whole from the receipts. Raises ``InvalidParts`` for what cannot be receipts."""
    check_order(receipts)
    whole = 0
    for receipt in receipts:
        if not _CHECKSUM.fullmatch(receipt.etag):
            raise InvalidParts(f"the receipt of part {receipt.part_number} has no checksum")
        whole = join_crc64(whole, int(receipt.etag, 16), second_size=receipt.size)
    return whole
