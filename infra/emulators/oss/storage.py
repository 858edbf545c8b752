"""Buckets and objects: bytes in files, everything else in memory, every change at once and whole."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastcrc import crc64

from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request_body import RequestBody

_COPY_BYTES = 1 << 20


class Content(NamedTuple):
    """Bytes in a file, measured as they came in."""

    path: Path
    size: int
    md5: bytes
    crc64: int


@dataclass(frozen=True)
class StoredObject:
    key: str
    path: Path
    size: int
    etag: str
    crc64: int
    modified_at: float
    headers: Mapping[str, str]
    """What the caller gave and every reader gets back."""
    kind: str = "Normal"
    tags: Mapping[str, str] = field(default_factory=dict)
    acl: str = "default"


class Bucket:
    """Objects by key. Its methods are called under the storage's lock."""

    def __init__(self, name: str, made_at: float) -> None:
        self.name = name
        self.made_at = made_at
        self.acl = "private"
        self.tls_only = False
        """A policy of the bucket denies everything that comes without TLS."""
        self.hides_missing = False
        """A missing object is AccessDenied to callers who may not list. S3 does so; OSS's pages say nothing."""
        self.settings: dict[str, bytes] = {}
        """Documents of a bucket's configuration, by sub-resource, as they were put."""
        self.objects: dict[str, StoredObject] = {}
        self.keys: list[str] = []
        """In the order of their UTF-8 bytes, which is the order of their characters."""

    def place(self, stored: StoredObject) -> StoredObject | None:
        """Make the object visible; return the one it replaces."""
        old = self.objects.get(stored.key)
        if old is None:
            bisect.insort(self.keys, stored.key)
        self.objects[stored.key] = stored
        return old

    def remove(self, key: str) -> StoredObject | None:
        old = self.objects.pop(key, None)
        if old is not None:
            del self.keys[bisect.bisect_left(self.keys, key)]
        return old


class Storage:
    """All buckets, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self._numbers = itertools.count(1)
        folder.mkdir(parents=True, exist_ok=True)

    def bucket(self, name: str) -> Bucket:
        """Raises OssError when there is none."""
        try:
            return self.buckets[name]
        except KeyError:
            raise OssError("NoSuchBucket", facts={"BucketName": name}) from None

    def find(self, bucket: str, key: str) -> StoredObject:
        """Raises OssError when there is none."""
        try:
            return self.bucket(bucket).objects[key]
        except KeyError:
            raise OssError("NoSuchKey", facts={"Key": key}) from None

    def open(self, bucket: str, key: str) -> tuple[StoredObject, BinaryIO]:
        """The object with its file open: a later put or delete does not touch what is read from it."""
        with self.lock:
            stored = self.find(bucket, key)
            return stored, stored.path.open("rb")

    def new_path(self) -> Path:
        return self.folder / f"{next(self._numbers):012d}"

    def take_in(self, body: RequestBody) -> Content:
        """Write a body to a file, block by block; nothing is left of one that breaks off."""
        return self.written(body.blocks())

    def joined(self, paths: Iterable[Path]) -> Content:
        """Copy files one after the other into a new one. Its checksum is of the bytes; its digest is none of them."""
        path, crc = self.new_path(), 0
        with path.open("wb", buffering=0) as whole:
            for block in _blocks_of(paths):
                whole.write(block)
                crc = crc64.xz(block, crc)
            size = whole.tell()
        return Content(path, size, hashlib.md5(str(crc).encode(), usedforsecurity=False).digest(), crc)

    def put(self, bucket: str, stored: StoredObject, *, may_replace: bool = True) -> None:
        """Make an object visible at once. Raises OssError when there is one that may not be replaced."""
        try:
            old = self._place(bucket, stored, may_replace=may_replace)
        except OssError:
            stored.path.unlink()
            raise
        if old:
            old.path.unlink()

    def delete(self, bucket: str, key: str) -> bool:
        """Remove an object; say whether there was one."""
        with self.lock:
            old = self.bucket(bucket).remove(key)
        if old:
            old.path.unlink()
        return old is not None

    def written(self, blocks: Iterable[bytes]) -> Content:
        """Everything that is said of the content is computed from the bytes on their way into the file."""
        path, digest, crc, size = self.new_path(), hashlib.md5(usedforsecurity=False), 0, 0
        try:
            with path.open("wb") as file:
                for block in blocks:
                    file.write(block)
                    digest.update(block)
                    crc = crc64.xz(block, crc)
                    size += len(block)
        except BaseException:
            path.unlink()
            raise
        return Content(path, size, digest.digest(), crc)

    def _place(self, bucket: str, stored: StoredObject, *, may_replace: bool) -> StoredObject | None:
        with self.lock:
            home = self.bucket(bucket)
            if not may_replace and stored.key in home.objects:
                raise OssError("FileAlreadyExists", fine_code="0026-00000002")
            return home.place(stored)


def _blocks_of(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb", buffering=0) as file:
            yield from iter(partial(file.read, _COPY_BYTES), b"")
