"""Objects in a dictionary: the in-memory twin of the object stores."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import RLock
from typing import NamedTuple
from urllib.parse import urlencode

from sluice.adapters.crc64 import crc64_of
from sluice.adapters.object_names import check_key, check_metadata, check_order, check_part_number, check_prefix
from sluice.ports.clock import Clock
from sluice.ports.object_store import ListedObject, ObjectInfo, OnUnreadable, PartReceipt, Upload
from sluice.ports.store_errors import InvalidParts, NoSuchObject, NoSuchUpload

_BLOCK_BYTES = 1 << 20


class _Object(NamedTuple):
    data: bytes
    metadata: dict[str, str]
    modified_at: float


@dataclass(slots=True)
class _Staged:
    upload: Upload
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryStore:
    """One lock makes every method atomic. Upload ids are numbers, so a simulation repeats exactly."""

    names_downloads = True

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = RLock()
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, _Staged] = {}
        self._upload_numbers = count(1)

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        check_key(key)
        check_metadata(metadata or {})
        with self._lock:
            self._objects[key] = _Object(data, dict(metadata or {}), self._clock.now())

    def get(self, key: str) -> bytes:
        return self._find(key).data

    def head(self, key: str) -> ObjectInfo:
        found = self._find(key)
        return ObjectInfo(key, len(found.data), str(crc64_of(found.data)), found.metadata)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        data = self._find(key).data
        stop = min(end, len(data))
        for position in range(start, stop, _BLOCK_BYTES):
            yield data[position : min(position + _BLOCK_BYTES, stop)]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        del on_unreadable  # what is listed can be read
        check_prefix(prefix)
        with self._lock:
            found = sorted((key, value) for key, value in self._objects.items() if key.startswith(prefix))
        return (ListedObject(key, len(value.data), value.modified_at) for key, value in found)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        check_prefix(prefix)
        with self._lock:
            uploads = [staged.upload for staged in self._uploads.values()]
        return (upload for upload in uploads if upload.key.startswith(prefix))

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        check_key(key)
        check_metadata(metadata)
        with self._lock:
            upload = Upload(key, f"upload-{next(self._upload_numbers)}", self._clock.now())
            self._uploads[upload.upload_id] = _Staged(upload, dict(metadata))
        return upload._replace(begun_at=0)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        check_part_number(part_number)
        with self._lock:
            self._staged(upload).parts[part_number] = data
        return _receipt(part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        with self._lock:
            staged = self._staged(upload)
            check_order(receipts)
            for receipt in receipts:
                number = receipt.part_number
                if number not in staged.parts or _receipt(number, staged.parts[number]) != receipt:
                    raise InvalidParts(f"part {number} is not what the receipt says")
            data = b"".join(staged.parts[receipt.part_number] for receipt in receipts)
            self._objects[upload.key] = _Object(data, staged.metadata, self._clock.now())
            del self._uploads[upload.upload_id]

    def abort_upload(self, upload: Upload) -> None:
        with self._lock:
            self._uploads.pop(upload.upload_id, None)

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        """Format what the link would serve; nothing serves it."""
        del task_id
        check_key(key)
        return f"memory:{key}?{urlencode({'filename': filename, 'expires_at': expires_at})}"

    def _find(self, key: str) -> _Object:
        check_key(key)
        with self._lock:
            try:
                return self._objects[key]
            except KeyError:
                raise NoSuchObject(key) from None

    def _staged(self, upload: Upload) -> _Staged:
        staged = self._uploads.get(upload.upload_id)
        if staged is None or staged.upload.key != upload.key:
            raise NoSuchUpload(upload.upload_id)
        return staged


def _receipt(part_number: int, data: bytes) -> PartReceipt:
    return PartReceipt(part_number, f"{crc64_of(data):016x}", len(data))
