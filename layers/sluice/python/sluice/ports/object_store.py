"""Abilities of the store that holds chunks, manifests and results.

Keys are relative, ``/``-separated and made only of ``[A-Za-z0-9/_.-]``.
Every method may raise ``OutcomeUnknown``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

FILENAME = "filename"
"""Metadata that names downloads of the object, as percent-encoded UTF-8, where a link itself cannot."""


class ObjectsPlace(NamedTuple):
    """Which store has the objects, in the words of the settings; no secret."""

    backend: str
    """Its name in the settings."""
    name: str = ""
    """Its bucket or buckets; empty for objects beside the rows, which may be moved together."""

    def __str__(self) -> str:
        return f"{self.name or 'the data directory'} (backend {self.backend})"


SOME_BUCKET = ObjectsPlace("s3 or oss_files", "a bucket")
"""What is known of rows that owned a bucket before they noted which."""


class ObjectInfo(NamedTuple):
    """What is known of a whole object without reading it."""

    key: str
    size: int
    crc64: str
    """CRC-64/XZ of the content in decimal: computed by the store from what it holds, or, by a store that
    computes none, recorded by its adapter from the bytes that the store gave back before they became the object."""
    metadata: Mapping[str, str]


class ListedObject(NamedTuple):
    """One line of a listing."""

    key: str
    size: int
    modified_at: float
    """Unix seconds by the store's clock."""


class Upload(NamedTuple):
    """An upload in parts that was begun."""

    key: str
    upload_id: str
    begun_at: float = 0
    """Unix seconds by the store's clock; 0 when not read from a listing."""


class PartReceipt(NamedTuple):
    """The store's word that a part was put."""

    part_number: int
    etag: str
    size: int


class PutsObjects(Protocol):
    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        """Store ``data`` under ``key``.

        Atomic: a reader sees the old object or the new one, whole. Durable when
        it returns. Repeating it is harmless. ``metadata`` is ASCII.
        """


class GetsObjects(Protocol):
    def get(self, key: str) -> bytes:
        """Read a whole small object. Raises ``NoSuchObject``."""

    def head(self, key: str) -> ObjectInfo:
        """Describe an object; sees every put and completion that returned before. Raises ``NoSuchObject``."""

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        """Yield bytes ``start`` to ``end`` (exclusive) in blocks of at most 1 MiB.

        Memory depends neither on the object's size nor on that of its parts.
        Raises ``NoSuchObject`` at the first block, and ``DamagedObject`` before
        it yields bytes that are not those that were stored, where the store can
        tell; of bytes that change while they are read, before it ends. A caller
        that stops half-way closes the generator.
        """


class DeletesObjects(Protocol):
    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; a key that does not exist is no error."""


OnUnreadable = Callable[[str], object]
"""Called with the key, or with the beginning that all keys in a folder have."""


class ListsObjects(Protocol):
    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        """Yield the objects whose key starts with ``prefix``, in order of key.

        Sees every put that returned before the listing began. What is there and
        cannot be read ends the listing by ``OutcomeUnknown``, so that an
        incomplete one is taken for no complete one; a caller that gives
        ``on_unreadable`` has it named instead and the listing go on behind it.
        """

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield uploads begun, and neither completed nor aborted, whose key starts with ``prefix``."""


class UploadsParts(Protocol):
    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload in parts. Nothing is visible under ``key`` until it is completed.

        Not idempotent: a repeat begins another upload.
        """

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        """Put part ``part_number`` (from 1). The last put of a number wins. Raises ``NoSuchUpload``."""

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        """Make the object from the named parts, in order, at once and whole.

        The object carries the metadata given at the begin. Raises
        ``NoSuchUpload`` when the upload is over, which after a lost answer may
        mean success, and ``InvalidParts`` when a receipt does not match.
        """

    def abort_upload(self, upload: Upload) -> None:
        """Drop an upload and its parts; an upload that is over is no error."""


class MintsLinks(Protocol):
    names_downloads: bool
    """Whether ``filename`` names the download of any object; if not, ``FILENAME`` has to be the same."""

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        """A URL that serves exactly this object until ``expires_at`` (Unix seconds) to any caller that has it.

        ``task_id`` is the task that has the object, among several perhaps: where
        this service serves its links, one ends with its task.

        The download is named ``filename`` by ``Content-Disposition``; a store
        that cannot name it by a link names it by the object's ``FILENAME``,
        which is the same. Never stored, never logged.
        """


class ObjectStore(PutsObjects, GetsObjects, DeletesObjects, ListsObjects, UploadsParts, Protocol):
    """Everything the service asks of an object store, links aside."""
