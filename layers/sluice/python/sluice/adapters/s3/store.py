"""Objects below one URL of S3, GCS or Azure, and links to them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import timedelta

import obstore

from sluice.adapters.object_names import check_key, check_prefix
from sluice.adapters.s3.bucket import S3Bucket, S3Place
from sluice.adapters.s3.errors import s3_errors
from sluice.adapters.s3.uploads import FOLDER, S3Uploads
from sluice.domain.limits import DAY_S
from sluice.ports.clock import Clock, Randomness
from sluice.ports.object_store import ListedObject, ObjectInfo, OnUnreadable, PartReceipt, Upload

LINK_S_MAX = 7 * DAY_S
"""S3 and GCS take no longer life of a signed link."""


class S3Store:
    """One request for each call, none repeated; those of uploads say how many they make. Safe in several threads."""

    def __init__(self, place: S3Place, *, randomness: Randomness, repeats: int = 3) -> None:
        """``repeats`` are those of the requests of a completion, which makes many."""
        self._bucket = S3Bucket(place, repeats=repeats)
        self._uploads = S3Uploads(self._bucket, randomness)

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        check_key(key)
        self._bucket.put(key, data, metadata or {})

    def get(self, key: str) -> bytes:
        check_key(key)
        return self._bucket.get(key)

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        stored = self._bucket.head(key)
        return ObjectInfo(key, stored.size, str(stored.crc64), stored.metadata)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        check_key(key)
        if start < end:
            yield from self._bucket.read(key, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        self._bucket.delete(keys)

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        del on_unreadable  # what is listed can be read
        check_prefix(prefix)
        for line in self._bucket.list(prefix):
            if not line.path.startswith(FOLDER):
                yield ListedObject(*line)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        return self._uploads.list(prefix)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._uploads.begin(key, dict(metadata))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._uploads.put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._uploads.complete(upload, receipts)

    def abort_upload(self, upload: Upload) -> None:
        self._uploads.abort(upload)


class S3Links:
    """Signs links to the objects of ``place``; its endpoint is where browsers go, so perhaps not the store's own.

    A link lives no longer than the credentials that signed it. The name of the
    download is the object's own, given to ``begin_upload``: obstore signs no
    link that says another.
    """

    names_downloads = False

    def __init__(self, place: S3Place, *, clock: Clock) -> None:
        self._store = place.open()
        self._clock = clock

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        del filename, task_id  # the store serves the link
        check_key(key)
        life_s = max(1, int(min(expires_at - self._clock.now(), LINK_S_MAX)))
        with s3_errors("SignLink"):
            return str(obstore.sign(self._store, "GET", key, timedelta(seconds=life_s)))
