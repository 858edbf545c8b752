"""A bucket of S3, GCS or Azure: the way to it, and its objects by path, each with a checksum of its content."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from sluice.adapters.crc64 import crc64_of
from sluice.adapters.object_names import check_metadata
from sluice.adapters.s3.errors import meaning_of, s3_errors
from sluice.domain.filenames import content_disposition
from sluice.ports.object_store import FILENAME
from sluice.ports.retry import STORE_CALLS
from sluice.ports.store_errors import BehindTheEnd, NoSuchObject, OutcomeUnknown, StoreError, StoreRefused

BLOCK_BYTES = 1 << 20
PAGE_OBJECTS = 1000
"""As many lines as the vendors list in one request."""
STREAM_BYTES = 5 << 20
"""Parts of a streamed object are of this size, and of more where it would have too many; S3 takes none below 5 MiB."""
STREAM_PARTS = 1
"""Parts of a streamed object that are under way while the next one fills; another would take its size in memory."""
STREAM_PARTS_MAX = 10_000

CHECKSUM = "crc64"
_METADATA_PREFIX = "sluice-"
"""Keeps our names apart from those of HTTP, which obstore would take for headers."""

_REQUEST_MAX_S = 900
"""The longest that one request may take whose bytes keep coming."""
_REPEAT_WITHIN_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Says where a bucket is; making one connects to nothing. Raises ValueError for a place that cannot be.

    Who asks is said by the vendor's own variables (``AWS_ACCESS_KEY_ID``,
    ``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_KEY`` and their
    like), or else by the machine's role; obstore reads and renews both.
    """

    url: str
    """``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``."""
    region: str = ""
    endpoint: str = ""
    """For S3's kin, with the scheme: ``https://minio.example.com``. The bucket's name goes into the path."""
    connect_timeout_s: float = 3
    read_timeout_s: float = 20
    """The longest silence while an answer is awaited or read."""

    def __post_init__(self) -> None:
        try:
            self.open()
        except (BaseError, ValueError) as error:
            raise ValueError(f"no bucket can be {self.url!r} at {self.endpoint!r}") from error

    @property
    def is_azure(self) -> bool:
        return self.url.startswith("az:")

    def open(self, *, repeats: int = 0, credentials: Mapping[str, str] | None = None) -> Any:
        """Make obstore's store: safe in several threads, signing each call anew.

        A request that fails is made again up to ``repeats`` times, and a body that breaks off is read on.
        ``credentials`` go before the vendor's own variables.
        """
        config: dict[str, Any] = dict(credentials or {})
        if self.region and self.url.startswith("s3:"):
            config["region"] = self.region
        if self.endpoint:
            config["base_url" if self.url.startswith("gs:") else "endpoint"] = self.endpoint
        connect: Any = from_url  # its types say one vendor or another; here the URL does
        return connect(
            self.url,
            config=config,
            client_options={
                "connect_timeout": timedelta(seconds=self.connect_timeout_s),
                "read_timeout": timedelta(seconds=self.read_timeout_s),
                "timeout": timedelta(seconds=_REQUEST_MAX_S),
                "allow_http": self.endpoint.startswith("http://"),
            },
            retry_config={
                "max_retries": repeats,
                "retry_timeout": timedelta(seconds=_REPEAT_WITHIN_S),
                "backoff": {
                    "init_backoff": timedelta(seconds=STORE_CALLS.first_wait_s),
                    "max_backoff": timedelta(seconds=STORE_CALLS.wait_max_s),
                    "base": 2,
                },
            },
        )


class StoredObject(NamedTuple):
    """What is known of an object without reading it."""

    size: int
    crc64: int
    metadata: dict[str, str]


class Line(NamedTuple):
    """One line of a listing."""

    path: str
    size: int
    modified_at: float


class S3Bucket:
    """Objects by path, any path that obstore takes. One call is one request, unless it says otherwise, never repeated.

    Each object carries the CRC-64 that its content had when it was put, and
    every read of a whole object is compared with it.
    """

    def __init__(self, place: S3Place, *, repeats: int) -> None:
        """``repeats`` are those of the methods that say so, whose callers cannot repeat a single request."""
        self._store = place.open()
        self._steady = place.open(repeats=repeats)
        self._dash = "_" if place.is_azure else "-"
        """Azure takes names of metadata that are identifiers."""

    def put(self, path: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Put an object, whole."""
        attributes = self._attributes(metadata, crc64_of(data))
        with s3_errors("PutObject"):
            obstore.put(self._store, path, data, attributes=attributes, use_multipart=False)

    def put_new(self, path: str, data: bytes) -> None:
        """Put an object where none is; repeated. Raises ``AlreadyThere``: after a lost answer, perhaps our own is."""
        with s3_errors("PutObject"):
            attributes = self._attributes({}, crc64_of(data))
            obstore.put(self._steady, path, data, attributes=attributes, mode="create", use_multipart=False)

    def stream(self, path: str, blocks: Iterable[bytes], stored: StoredObject) -> None:
        """Make an object of ``blocks``, which appears whole or not at all; what they raise passes through.

        ``stored`` is what they will have been. More than one request, each
        repeated. ``blocks`` may not call obstore in the thread that asks for them.
        """
        attributes = self._attributes(stored.metadata, stored.crc64)
        part_bytes = max(STREAM_BYTES, -(-stored.size // STREAM_PARTS_MAX))
        if stored.size <= part_bytes:
            whole = b"".join(blocks)
            with s3_errors("PutObject"):
                obstore.put(self._steady, path, whole, attributes=attributes, use_multipart=False)
            return
        try:
            obstore.put(
                self._steady,
                path,
                iter(blocks),
                attributes=attributes,
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=STREAM_PARTS,
            )
        except (BaseError, FileNotFoundError) as error:
            found = meaning_of("CompleteMultipartUpload", str(error))
            # The upload was ours alone: should it be gone, a completion happened whose answer was lost.
            raise OutcomeUnknown(str(found)) if isinstance(found, NoSuchObject) else found from error

    def get(self, path: str, *, steadily: bool = False) -> bytes:
        """Read an object that fits in memory; repeated if ``steadily``.

        Raises ``NoSuchObject``, and ``OutcomeUnknown`` when other bytes come than were put.
        """
        with s3_errors("GetObject"):
            answer = obstore.get(self._steady if steadily else self._store, path)
            data = bytes(answer.bytes())
        stored = self._stored(answer)
        if (len(data), crc64_of(data)) != (stored.size, stored.crc64):
            raise OutcomeUnknown("GetObject: the bytes that came are not those that were put")
        return data

    def head(self, path: str) -> StoredObject:
        """Describe an object. Raises ``NoSuchObject``."""
        try:
            with s3_errors("HeadObject"):
                answer = obstore.get(self._store, path, options={"head": True})
        except NoSuchObject:
            # The answer to HEAD has no body that tells a missing object from a missing bucket: a listing does.
            with s3_errors("ListObjects"):
                next(obstore.list(self._steady, path, chunk_size=1), None)
            raise
        return self._stored(answer)

    def read(self, path: str, start: int, end: int) -> Generator[bytes]:
        """Yield a range in blocks of at most 1 MiB, the last one only when all is known to be right.

        Raises ``NoSuchObject``, and ``OutcomeUnknown`` when the range breaks
        off: what was yielded until then is good. Damage that shows when blocks
        are out already is a ``StoreError``, since nothing is gained by reading on.
        """
        try:
            with s3_errors("GetObject"):
                answer = obstore.get(self._store, path, options={"range": (start, end)})
        except BehindTheEnd:
            return
        stored = self._stored(answer)
        ahead, crc64, size = b"", 0, 0
        for block in _blocks(answer):
            if ahead:
                yield ahead
            ahead, crc64, size = block, crc64_of(block, crc64), size + len(block)
        if answer.range[0] != start or start + size != min(end, stored.size):
            raise OutcomeUnknown(f"GetObject: {size} bytes or another range came")
        if size == stored.size and crc64 != stored.crc64:
            kind = StoreError if size > len(ahead) else OutcomeUnknown
            raise kind("GetObject: the bytes that came are not those that were put")
        if ahead:
            yield ahead

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects, whether they are there or not. A request for each thousand, or for each on GCS and Azure."""
        pending = list(dict.fromkeys(paths))
        for first in range(0, len(pending), PAGE_OBJECTS):
            self._delete_batch(pending[first : first + PAGE_OBJECTS])

    def list(self, prefix: str) -> Iterator[Line]:
        """Yield the objects whose path begins with ``prefix``, in order of path. A request for each thousand."""
        folder, _, start = prefix.rpartition("/")
        last = ""
        with s3_errors("ListObjects"):
            pages = obstore.list(self._store, folder or None, chunk_size=PAGE_OBJECTS)
        while True:
            with s3_errors("ListObjects"):
                page = next(pages, None)
            if page is None:
                return
            for item in page:
                path, modified_at = item["path"], item["last_modified"]
                if path <= last:
                    raise StoreRefused("the store does not list objects in order of key; use another kind of bucket")
                last = path
                if path.startswith(prefix):
                    yield Line(path, item["size"], modified_at.timestamp())
                elif start and path > prefix:
                    return

    def _delete_batch(self, paths: Sequence[str]) -> None:
        try:
            with s3_errors("DeleteObjects"):
                obstore.delete(self._store, paths)
        except NoSuchObject:
            if len(paths) > 1:  # stores that delete one by one stop at the first that is missing
                for path in paths:
                    self._delete_batch([path])

    def _attributes(self, metadata: Mapping[str, str], crc64: int) -> dict[str, str]:
        check_metadata(metadata)
        attributes = {CHECKSUM: str(crc64)}
        attributes |= {f"{_METADATA_PREFIX}{name}".replace("-", self._dash): value for name, value in metadata.items()}
        if FILENAME in metadata:
            attributes["Content-Disposition"] = content_disposition(unquote(metadata[FILENAME]))
        return attributes

    def _stored(self, answer: Any) -> StoredObject:
        """Read what an answer's head says. Raises ``OutcomeUnknown`` for the head of no object of ours."""
        attributes = {name.lower().replace("_", "-"): value for name, value in answer.attributes.items()}
        checksum = attributes.get(CHECKSUM, "")
        if not checksum.isdecimal() or not isinstance(answer.meta["last_modified"], datetime):
            raise OutcomeUnknown("GetObject: the checksum that we put with every object is missing")
        metadata = {
            name.removeprefix(_METADATA_PREFIX): value
            for name, value in attributes.items()
            if name.startswith(_METADATA_PREFIX)
        }
        return StoredObject(answer.meta["size"], int(checksum), metadata)


def _blocks(answer: Any) -> Iterator[bytes]:
    """Cut what comes into blocks of at most 1 MiB."""
    stream = answer.stream(min_chunk_size=BLOCK_BYTES)
    while True:
        with s3_errors("GetObject"):
            piece = next(stream, b"")
        if not piece:
            return
        for start in range(0, len(piece), BLOCK_BYTES):
            yield piece[start : start + BLOCK_BYTES]
