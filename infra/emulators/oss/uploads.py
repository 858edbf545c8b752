"""Uploads in parts: begun, filled in any order, completed or aborted once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.storage import Content, Storage

PART_BYTES_MIN = 100 * 1024
PART_NUMBER_MAX = 10_000


class Part(NamedTuple):
    number: int
    content: Content
    put_at: float

    @property
    def etag(self) -> str:
        return self.content.md5.hex().upper()


class NamedPart(NamedTuple):
    """A part as the caller names it when completing."""

    number: int
    etag: str


@dataclass
class Upload:
    id: str
    bucket: str
    key: str
    begun_at: float
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    acl: str
    parts: dict[int, Part] = field(default_factory=dict)
    is_over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Uploads:
    """Uploads of all buckets, by id. ``part_bytes_min`` may be lowered by a test."""

    def __init__(self, storage: Storage) -> None:
        self.part_bytes_min = PART_BYTES_MIN
        self._storage = storage
        self._uploads: dict[str, Upload] = {}

    def begin(
        self, bucket: str, key: str, *, now: float, headers: Mapping[str, str], tags: Mapping[str, str], acl: str
    ) -> Upload:
        upload = Upload(uuid.uuid4().hex.upper(), bucket, key, now, headers, tags, acl)
        self._uploads[upload.id] = upload
        return upload

    def find(self, upload_id: str, bucket: str, key: str) -> Upload:
        """Raises OssError when it never was, is over, or is another key's."""
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise _no_such_upload(upload_id)
        return upload

    def of_bucket(self, bucket: str) -> list[Upload]:
        """In order of key, then of id."""
        mine = [upload for upload in list(self._uploads.values()) if upload.bucket == bucket]
        return sorted(mine, key=lambda upload: (upload.key, upload.id))

    def put_part(self, upload: Upload, part: Part) -> None:
        """Keep a part that has come in whole; the one that came in last under a number counts."""
        with upload.lock:
            if upload.is_over:
                part.content.path.unlink()
                raise _no_such_upload(upload.id)
            old = upload.parts.get(part.number)
            upload.parts[part.number] = part
        if old:
            old.content.path.unlink()

    def abort(self, upload: Upload) -> None:
        with upload.lock:
            self.close(upload)

    def check(self, upload: Upload, named: Sequence[NamedPart]) -> list[Part]:
        """The parts that make the object. Raises OssError; the upload stays open then."""
        numbers = [part.number for part in named]
        if numbers != sorted(set(numbers)):
            raise OssError("InvalidPartOrder")
        found = [upload.parts.get(number) for number in numbers]
        parts = [part for part, said in zip(found, named, strict=True) if part and part.etag == said.etag]
        if len(parts) < len(named):
            raise OssError("InvalidPart")
        for part in parts[:-1]:
            if part.content.size < self.part_bytes_min:
                raise _too_small(part, self.part_bytes_min)
        return parts

    def join(self, parts: Sequence[Part]) -> Content:
        """Copy the parts one after the other into one file."""
        return self._storage.joined(part.content.path for part in parts)

    def close(self, upload: Upload) -> None:
        """End an upload and drop its parts; the caller holds its lock."""
        upload.is_over = True
        self._uploads.pop(upload.id, None)
        for part in upload.parts.values():
            part.content.path.unlink()
        upload.parts.clear()


def _no_such_upload(upload_id: str) -> OssError:
    return OssError("NoSuchUpload", facts={"UploadId": upload_id})


def _too_small(part: Part, minimum: int) -> OssError:
    facts = {
        "ETag": part.etag,
        "MinSizeAllowed": minimum,
        "ProposedSize": part.content.size,
        "PartNumber": part.number,
    }
    return OssError("EntityTooSmall", facts=facts)
