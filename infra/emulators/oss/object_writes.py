"""Making, replacing and removing one object."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

from infra.emulators.oss.answer import Answer, Node, document_answer
from infra.emulators.oss.object_headers import acl_of, check_preconditions, kept_headers, may_replace, tags_of
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request
from infra.emulators.oss.request_body import BLOCK_BYTES
from infra.emulators.oss.server_clock import iso_date
from infra.emulators.oss.storage import Content, StoredObject
from infra.emulators.oss.store import Store


def put_object(store: Store, request: Request) -> Answer:
    store.storage.bucket(request.bucket)
    replaceable = may_replace(request)
    content = store.storage.take_in(request.body)
    check_md5(request, content)
    stored = _made(store, request, content)
    store.storage.put(request.bucket, stored, may_replace=replaceable)
    publish_creation(store, request, "PutObject", stored)
    return Answer(headers={"Content-MD5": _base64(content.md5), **_receipt(stored)})


def copy_object(store: Store, request: Request) -> Answer:
    replaceable = may_replace(request)
    store.storage.bucket(request.bucket)
    source, file = store.storage.open(*copy_source(request))
    with file:
        check_preconditions(request.headers, source, prefix="x-oss-copy-source-")
        content = store.storage.written(iter(partial(file.read, BLOCK_BYTES), b""))
    is_kept = request.headers.get("x-oss-metadata-directive", "COPY").upper() == "COPY"
    copied = replace(
        source,
        key=request.key,
        path=content.path,
        kind="Normal",
        modified_at=store.clock.now(),
        headers=source.headers if is_kept else kept_headers(request),
    )
    store.storage.put(request.bucket, copied, may_replace=replaceable)
    publish_creation(store, request, "CopyObject", copied)
    nodes = (Node("LastModified", iso_date(copied.modified_at)), Node("ETag", f'"{copied.etag}"'))
    return document_answer(Node("CopyObjectResult", *nodes), _receipt(copied))


def append_object(store: Store, request: Request) -> Answer:
    content = store.storage.take_in(request.body)
    try:
        stored = _appended(store, request, content)
    except OssError:
        content.path.unlink()
        raise
    publish_creation(store, request, "AppendObject", stored)
    return Answer(headers={"x-oss-next-append-position": str(stored.size), **_receipt(stored)})


def delete_object(store: Store, request: Request) -> Answer:
    if store.storage.delete(request.bucket, request.key):
        publish_removal(store, request, "DeleteObject", request.key)
    return Answer(204)


def copy_source(request: Request) -> tuple[str, str]:
    """Bucket and key."""
    bucket, _, key = unquote(request.headers["x-oss-copy-source"]).lstrip("/").partition("/")
    return bucket, key


def check_md5(request: Request, content: Content) -> None:
    """Raise OssError when these are not the bytes that the caller promised; they are removed."""
    promised = request.headers.get("content-md5")
    if promised is not None and promised != _base64(content.md5):
        content.path.unlink()
        raise OssError("InvalidDigest", facts={"Content-MD5": promised})


def publish_creation(store: Store, request: Request, how: str, stored: StoredObject) -> None:
    size, at = stored.size, stored.modified_at
    store.events.publish(
        f"ObjectCreated:{how}", request, size=size, delta=size, etag=stored.etag, key=stored.key, at=at
    )


def publish_removal(store: Store, request: Request, how: str, key: str) -> None:
    at = store.clock.now()
    store.events.publish(f"ObjectRemoved:{how}", request, size=0, delta=0, etag="", key=key, at=at)


def _appended(store: Store, request: Request, added: Content) -> StoredObject:
    """Put the object with the new bytes at its end; a reader of the old one is not touched."""
    with store.storage.lock:
        old = store.storage.bucket(request.bucket).objects.get(request.key)
        _check_appendable(old, request)
        whole = added if old is None else store.storage.joined([old.path, added.path])
        stored = replace(_made(store, request, whole), kind="Appendable")
        if old is not None:
            added.path.unlink()
            stored = replace(stored, headers=old.headers, tags=old.tags, acl=old.acl)
        store.storage.put(request.bucket, stored)
    return stored


def _check_appendable(old: StoredObject | None, request: Request) -> None:
    if old and old.kind != "Appendable":
        raise OssError("ObjectNotAppendable")
    size = old.size if old else 0
    if request.number("position", 0) != size:
        raise OssError("PositionNotEqualToLength", headers={"x-oss-next-append-position": str(size)})


def _made(store: Store, request: Request, content: Content) -> StoredObject:
    return StoredObject(
        request.key,
        content.path,
        content.size,
        content.md5.hex().upper(),
        content.crc64,
        store.clock.now(),
        kept_headers(request),
        tags=tags_of(request),
        acl=acl_of(request),
    )


def _receipt(stored: StoredObject) -> dict[str, str]:
    return {"ETag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.crc64)}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
