"""Lists of a bucket's objects and uploads."""

from __future__ import annotations

import base64
import bisect
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from infra.emulators.oss.answer import Answer, Node, document_answer
from infra.emulators.oss.object_settings import owner
from infra.emulators.oss.oss_errors import invalid_argument
from infra.emulators.oss.request import Request
from infra.emulators.oss.server_clock import iso_date
from infra.emulators.oss.storage import Bucket, StoredObject
from infra.emulators.oss.store import Store
from infra.emulators.oss.uploads import Upload


class Page(NamedTuple):
    keys: list[str]
    prefixes: list[str]
    """What the keys that were rolled up have in common."""
    is_truncated: bool
    last: str
    """The key or prefix the page ends with; the next page's marker."""


def page_of(names: Sequence[str], *, prefix: str, delimiter: str, marker: str, size: int) -> Page:
    """The names after ``marker`` that start with ``prefix``, those with a delimiter further on rolled up."""
    keys: list[str] = []
    prefixes: list[str] = []
    last = marker
    index = max(bisect.bisect_left(names, prefix), _after(names, marker, prefix, delimiter))
    while index < len(names) and names[index].startswith(prefix):
        if len(keys) + len(prefixes) >= size:
            return Page(keys, prefixes, True, last)
        name = names[index]
        rolled = _rolled_up(name, prefix, delimiter)
        if rolled:
            prefixes.append(rolled)
            index = _behind(names, rolled)
        else:
            keys.append(name)
            index += 1
        last = rolled or name
    return Page(keys, prefixes, False, last)


def _rolled_up(name: str, prefix: str, delimiter: str) -> str:
    """What the name is listed under; empty when it is listed itself."""
    if not delimiter or delimiter not in name[len(prefix) :]:
        return ""
    return prefix + name[len(prefix) :].partition(delimiter)[0] + delimiter


def _after(names: Sequence[str], marker: str, prefix: str, delimiter: str) -> int:
    """Where the page behind the marker begins; a marker that is a rolled-up prefix stands for everything below it."""
    if marker and marker.startswith(prefix) and _rolled_up(marker, prefix, delimiter) == marker:
        return _behind(names, marker)
    return bisect.bisect_right(names, marker)


def _behind(names: Sequence[str], prefix: str) -> int:
    """The index behind all names that start with ``prefix``."""
    return bisect.bisect_right(names, prefix, key=lambda name: name[: len(prefix)])


_KEYS_MAX = 1000


def list_objects(store: Store, request: Request) -> Answer:
    marker, written = request.query.get("marker", ""), _writer(request)
    with store.storage.lock:
        bucket = store.storage.bucket(request.bucket)
        page = _page(bucket, request, marker)
        found = [bucket.objects[key] for key in page.keys]
    nodes = [
        *_head(request, page),
        Node("Marker", written(marker)),
        Node("NextMarker", written(page.last)) if page.is_truncated else None,
        *(_object_line(stored, written, with_owner=True) for stored in found),
        *_prefixes(page, written),
    ]
    return document_answer(Node("ListBucketResult", *nodes))


def list_objects_v2(store: Store, request: Request) -> Answer:
    token, written = request.query.get("continuation-token", ""), _writer(request)
    marker = _marker_of(token) if token else request.query.get("start-after", "")
    with store.storage.lock:
        bucket = store.storage.bucket(request.bucket)
        page = _page(bucket, request, marker)
        found = [bucket.objects[key] for key in page.keys]
    with_owner = request.query.get("fetch-owner") == "true"
    next_token = base64.urlsafe_b64encode(page.last.encode()).decode()
    nodes = [
        *_head(request, page),
        Node("StartAfter", written(request.query.get("start-after", ""))),
        Node("ContinuationToken", token) if token else None,
        Node("NextContinuationToken", next_token) if page.is_truncated else None,
        *(_object_line(stored, written, with_owner=with_owner) for stored in found),
        *_prefixes(page, written),
        Node("KeyCount", len(page.keys) + len(page.prefixes)),
    ]
    return document_answer(Node("ListBucketResult", *nodes))


def list_multipart_uploads(store: Store, request: Request) -> Answer:
    store.storage.bucket(request.bucket)
    query, written = request.query, _writer(request)
    size = _size(request, "max-uploads", default=_KEYS_MAX)
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    found = [
        upload
        for upload in store.uploads.of_bucket(request.bucket)
        if upload.key.startswith(query.get("prefix", "")) and _is_after(upload, key_marker, id_marker)
    ]
    page = found[:size]
    is_truncated = len(found) > size
    nodes = [
        Node("Bucket", request.bucket),
        Node("EncodingType", query["encoding-type"]) if "encoding-type" in query else None,
        Node("KeyMarker", written(key_marker)),
        Node("UploadIdMarker", id_marker),
        Node("NextKeyMarker", written(page[-1].key) if is_truncated and page else ""),
        Node("NextUploadIdMarker", page[-1].id if is_truncated and page else ""),
        Node("Prefix", written(query.get("prefix", ""))),
        Node("MaxUploads", size),
        Node("IsTruncated", str(is_truncated).lower()),
        *(_upload_line(upload, written) for upload in page),
    ]
    return document_answer(Node("ListMultipartUploadsResult", *nodes))


def _marker_of(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise invalid_argument("continuation-token", token, "The continuation token is incorrect.") from None


def _page(bucket: Bucket, request: Request, marker: str) -> Page:
    return page_of(
        bucket.keys,
        prefix=request.query.get("prefix", ""),
        delimiter=request.query.get("delimiter", ""),
        marker=marker,
        size=_size(request, "max-keys", default=100),
    )


def _size(request: Request, name: str, *, default: int) -> int:
    said = request.query.get(name) or str(default)
    if not said.isdecimal() or not 1 <= int(said) <= _KEYS_MAX:
        raise invalid_argument(name, said, f"Argument {name} must be an integer between 1 and {_KEYS_MAX}.")
    return int(said)


def _writer(request: Request) -> Callable[[str], str]:
    """How names are written in the document, so that any name survives XML."""
    return quote if request.query.get("encoding-type") == "url" else str


def _head(request: Request, page: Page) -> list[Node | None]:
    query, written = request.query, _writer(request)
    return [
        Node("Name", request.bucket),
        Node("Prefix", written(query.get("prefix", ""))),
        Node("MaxKeys", _size(request, "max-keys", default=100)),
        Node("Delimiter", written(query.get("delimiter", ""))),
        Node("EncodingType", query["encoding-type"]) if "encoding-type" in query else None,
        Node("IsTruncated", str(page.is_truncated).lower()),
    ]


def _object_line(stored: StoredObject, written: Callable[[str], str], *, with_owner: bool) -> Node:
    return Node(
        "Contents",
        Node("Key", written(stored.key)),
        Node("LastModified", iso_date(stored.modified_at)),
        Node("ETag", f'"{stored.etag}"'),
        Node("Type", stored.kind),
        Node("Size", stored.size),
        Node("StorageClass", stored.headers.get("x-oss-storage-class", "Standard")),
        owner() if with_owner else None,
    )


def _prefixes(page: Page, written: Callable[[str], str]) -> list[Node]:
    return [Node("CommonPrefixes", Node("Prefix", written(prefix))) for prefix in page.prefixes]


def _is_after(upload: Upload, key_marker: str, id_marker: str) -> bool:
    """An id marker counts only beside a key marker; without one the marker's key is done with."""
    if not key_marker:
        return True
    if id_marker and upload.key == key_marker:
        return upload.id > id_marker
    return upload.key > key_marker


def _upload_line(upload: Upload, written: Callable[[str], str]) -> Node:
    return Node(
        "Upload",
        Node("Key", written(upload.key)),
        Node("UploadId", upload.id),
        Node("StorageClass", upload.headers.get("x-oss-storage-class", "Standard")),
        Node("Initiated", iso_date(upload.begun_at)),
    )
