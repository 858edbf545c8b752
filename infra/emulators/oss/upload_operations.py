"""What can be done with an upload in parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import islice
from urllib.parse import quote

from infra.emulators.oss.answer import Answer, Node, document_answer, parsed
from infra.emulators.oss.object_headers import acl_of, kept_headers, may_replace, tags_of
from infra.emulators.oss.object_writes import check_md5, copy_source, publish_creation, publish_removal
from infra.emulators.oss.oss_errors import OssError, invalid_argument
from infra.emulators.oss.request import Request
from infra.emulators.oss.server_clock import iso_date
from infra.emulators.oss.storage import Content, StoredObject
from infra.emulators.oss.store import Store
from infra.emulators.oss.uploads import PART_NUMBER_MAX, NamedPart, Part, Upload

_FORBIDDEN = "0042-00000214"


def initiate(store: Store, request: Request) -> Answer:
    with store.storage.lock:
        exists = request.key in store.storage.bucket(request.bucket).objects
    if exists and not may_replace(request):
        raise OssError("FileAlreadyExists", fine_code=_FORBIDDEN)
    upload = store.uploads.begin(
        request.bucket,
        request.key,
        now=store.clock.now(),
        headers=kept_headers(request),
        tags=tags_of(request),
        acl=acl_of(request),
    )
    _publish(store, request, "InitiateMultipartUpload")
    nodes = (Node("Bucket", request.bucket), Node("Key", request.key), Node("UploadId", upload.id))
    return document_answer(Node("InitiateMultipartUploadResult", *nodes))


def upload_part(store: Store, request: Request) -> Answer:
    upload = _upload(store, request)
    number = _part_number(request)
    content = store.storage.take_in(request.body)
    check_md5(request, content)
    part = Part(number, content, store.clock.now())
    store.uploads.put_part(upload, part)
    _publish(store, request, "UploadPart")
    return Answer(headers={"ETag": f'"{part.etag}"', "x-oss-hash-crc64ecma": str(content.crc64)})


def upload_part_copy(store: Store, request: Request) -> Answer:
    upload = _upload(store, request)
    number = _part_number(request)
    source, file = store.storage.open(*copy_source(request))
    with file:
        start, last = _copied_range(request, source.size)
        file.seek(start)
        content = store.storage.written([file.read(last - start + 1)])
    part = Part(number, content, store.clock.now())
    store.uploads.put_part(upload, part)
    _publish(store, request, "UploadPartCopy")
    nodes = (Node("LastModified", iso_date(part.put_at)), Node("ETag", f'"{part.etag}"'))
    return document_answer(Node("CopyPartResult", *nodes), {"ETag": f'"{part.etag}"'})


def list_parts(store: Store, request: Request) -> Answer:
    upload = _upload(store, request)
    size, marker = request.number("max-parts", 1000), request.number("part-number-marker", 0)
    after = sorted(part for number, part in list(upload.parts.items()) if number > marker)
    page = list(islice(after, size))
    nodes = [
        Node("Bucket", upload.bucket),
        Node("Key", _written(upload.key, request)),
        Node("UploadId", upload.id),
        Node("PartNumberMarker", marker),
        Node("NextPartNumberMarker", page[-1].number if page else marker),
        Node("MaxParts", size),
        Node("IsTruncated", str(len(after) > len(page)).lower()),
        *(_part_line(part) for part in page),
    ]
    return document_answer(Node("ListPartsResult", *nodes))


def complete(store: Store, request: Request) -> Answer:
    replaceable = may_replace(request)
    body = request.body.read_all()
    upload = _upload(store, request)
    with upload.lock:
        if upload.is_over:  # another completion or an abort came first while this one waited
            raise OssError("NoSuchUpload", facts={"UploadId": upload.id})
        parts = store.uploads.check(upload, _named_parts(body, upload, request))
        stored = _made(upload, parts, store.uploads.join(parts), at=store.clock.now())
        try:
            store.storage.put(request.bucket, stored, may_replace=replaceable)
        except OssError as error:
            error.fine_code = _FORBIDDEN if error.code == "FileAlreadyExists" else error.fine_code
            raise
        store.uploads.close(upload)
    publish_creation(store, request, "CompleteMultipartUpload", stored)
    nodes = (
        Node("Location", f"http://{request.headers.get('host', '')}/{request.bucket}/{quote(request.key)}"),
        Node("Bucket", request.bucket),
        Node("Key", _written(request.key, request)),
        Node("ETag", f'"{stored.etag}"'),
    )
    headers = {"ETag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.crc64)}
    return document_answer(Node("CompleteMultipartUploadResult", *nodes), headers)


def abort(store: Store, request: Request) -> Answer:
    store.uploads.abort(_upload(store, request))
    publish_removal(store, request, "AbortMultipartUpload", request.key)
    return Answer(204)


def _upload(store: Store, request: Request) -> Upload:
    store.storage.bucket(request.bucket)
    return store.uploads.find(request.query["uploadId"], request.bucket, request.key)


def _part_number(request: Request) -> int:
    said = request.query.get("partNumber", "")
    if not said.isdecimal() or not 1 <= int(said) <= PART_NUMBER_MAX:
        message = "Part number must be an integer between 1 and 10000, inclusive."
        raise invalid_argument("PartNumber", said, message, fine_code="0017-00000220")
    return int(said)


def _copied_range(request: Request, size: int) -> tuple[int, int]:
    """First byte and last."""
    asked = request.headers.get("x-oss-copy-source-range", f"bytes=0-{size - 1}")
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
    if not match or not int(match[1]) <= int(match[2]) < size:
        raise OssError("InvalidRange", facts={"RangeRequested": asked})
    return int(match[1]), int(match[2])


def _named_parts(body: bytes, upload: Upload, request: Request) -> list[NamedPart]:
    if not body and request.headers.get("x-oss-complete-all") == "yes":
        return [NamedPart(number, part.etag) for number, part in sorted(upload.parts.items())]
    try:
        named = [
            NamedPart(int(part.findtext("PartNumber", "")), part.findtext("ETag", "").strip('"').upper())
            for part in parsed(body).iter("Part")
        ]
    except ValueError:
        raise OssError("MalformedXML") from None
    if not named:
        raise OssError("MalformedXML")
    return named


def _made(upload: Upload, parts: Sequence[Part], content: Content, *, at: float) -> StoredObject:
    digests = b"".join(part.content.md5 for part in parts)
    return StoredObject(
        upload.key,
        content.path,
        content.size,
        f"{hashlib.md5(digests, usedforsecurity=False).hexdigest().upper()}-{len(parts)}",
        content.crc64,
        at,
        upload.headers,
        kind="Multipart",
        tags=upload.tags,
        acl=upload.acl,
    )


def _part_line(part: Part) -> Node:
    return Node(
        "Part",
        Node("PartNumber", part.number),
        Node("LastModified", iso_date(part.put_at)),
        Node("ETag", f'"{part.etag}"'),
        Node("HashCrc64ecma", part.content.crc64),
        Node("Size", part.content.size),
    )


def _written(key: str, request: Request) -> str:
    return quote(key) if request.query.get("encoding-type") == "url" else key


def _publish(store: Store, request: Request, how: str) -> None:
    at = store.clock.now()
    store.events.publish(f"ObjectCreated:{how}", request, size=0, delta=0, etag="", key=request.key, at=at)
