"""Objects in one bucket of Alibaba Cloud OSS."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from sluice.adapters.aliyun.oss.bucket import OssBucket, oss2
from sluice.adapters.aliyun.oss.errors import oss_errors
from sluice.adapters.aliyun.oss.reading import RANGE_AS_USUAL, read_span, read_whole
from sluice.adapters.crc64 import crc64_of, join_crc64
from sluice.adapters.object_names import check_key, check_metadata, check_order, check_part_number, check_prefix
from sluice.ports.object_store import ListedObject, ObjectInfo, OnUnreadable, PartReceipt, Upload
from sluice.ports.store_errors import BehindTheEnd, InvalidParts, NoSuchUpload, OutcomeUnknown

DELETES_MAX = 1000
"""The most objects OSS deletes in one request."""
PAGE_MAX = 1000
"""The most lines OSS lists in one request."""
CONNECTIONS_MAX = 32
"""Connections kept open: enough for the parts and chunks that one composer has in flight."""
_PREFIX = "x-oss-meta-"


class OssStore:
    """One request for each call (deletes and listings: one per 1,000), none of them repeated.

    Safe in several threads, which share the open connections. Of an upload
    nothing is kept between two calls: a part's checksum travels in its
    receipt, behind OSS's own tag.
    """

    def __init__(
        self,
        bucket: OssBucket,
        *,
        connect_timeout_s: float = 3,
        read_timeout_s: float = 20,
        connections_max: int = CONNECTIONS_MAX,
        page_max: int = PAGE_MAX,
    ) -> None:
        self._bucket = bucket.open(
            connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s, connections_max=connections_max
        )
        self._page_max = page_max

    def close(self) -> None:
        """Close the connections that are not in use. A later call would open new ones."""
        self._bucket.session.session.close()

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        check_key(key)
        headers = metadata_headers(metadata or {})
        with oss_errors("PutObject"):
            answer = self._bucket.put_object(key, data, headers=headers)
        if answer.crc != crc64_of(data):
            raise OutcomeUnknown(f"PutObject: OSS received other bytes (request {answer.request_id})")

    def get(self, key: str) -> bytes:
        check_key(key)
        with oss_errors("GetObject"):
            answer = self._bucket.get_object(key)
        with answer:
            return read_whole(answer)

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        with oss_errors("HeadObject"):
            answer = self._bucket.head_object(key)
        if answer.content_length is None or answer.server_crc is None:
            raise OutcomeUnknown(f"HeadObject: size or checksum is missing (request {answer.request_id})")
        return ObjectInfo(key, answer.content_length, str(answer.server_crc), read_metadata(answer.headers))

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        check_key(key)
        if start >= end:
            return
        try:
            with oss_errors("GetObject"):
                answer = self._bucket.get_object(key, byte_range=(start, end - 1), headers=RANGE_AS_USUAL)
        except BehindTheEnd:
            return
        with answer:
            yield from read_span(answer, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        pending = list(dict.fromkeys(keys))
        for first in range(0, len(pending), DELETES_MAX):
            batch = pending[first : first + DELETES_MAX]
            with oss_errors("DeleteMultipleObjects"):
                answer = self._bucket.batch_delete_objects(batch)
            left = len(set(batch).difference(answer.deleted_keys))
            if left:
                what = f"{left} of {len(batch)} objects"
                raise OutcomeUnknown(f"DeleteMultipleObjects: OSS does not say that {what} are gone")

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        del on_unreadable  # what is listed can be read
        check_prefix(prefix)
        token, is_last = "", False
        while not is_last:
            with oss_errors("ListObjectsV2"):
                page = self._bucket.list_objects_v2(prefix, continuation_token=token, max_keys=self._page_max)
            for item in page.object_list:
                yield ListedObject(item.key, int(item.size), float(item.last_modified))
            if page.is_truncated and page.next_continuation_token == token:
                raise OutcomeUnknown("ListObjectsV2: OSS gives the same page again")
            token, is_last = page.next_continuation_token, not page.is_truncated

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        check_key(key)
        headers = metadata_headers(metadata)
        with oss_errors("InitiateMultipartUpload"):
            answer = self._bucket.init_multipart_upload(key, headers=headers)
        if not answer.upload_id:
            raise OutcomeUnknown(f"InitiateMultipartUpload: the answer names no upload (request {answer.request_id})")
        return Upload(key, answer.upload_id)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        check_key(upload.key)
        check_part_number(part_number)
        _check_begun(upload)
        with oss_errors("UploadPart"):
            answer = self._bucket.upload_part(upload.key, upload.upload_id, part_number, data)
        crc64 = crc64_of(data)
        if answer.crc != crc64 or not answer.etag:
            raise OutcomeUnknown(f"UploadPart: OSS received other bytes (request {answer.request_id})")
        return PartReceipt(part_number, f"{answer.etag}.{crc64:016x}", len(data))

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        check_key(upload.key)
        _check_begun(upload)
        seals = _read_receipts(receipts)
        parts = [
            oss2.models.PartInfo(receipt.part_number, seal.tag) for receipt, seal in zip(receipts, seals, strict=True)
        ]
        with oss_errors("CompleteMultipartUpload"):
            answer = self._bucket.complete_multipart_upload(upload.key, upload.upload_id, parts)
            answer.resp.read()  # the SDK leaves the body there, and the connection could not be used again
        ours = _join(receipts, seals)
        if None not in (answer.crc, ours) and answer.crc != ours:
            raise InvalidParts(f"the object is not the parts that were put (request {answer.request_id})")

    def abort_upload(self, upload: Upload) -> None:
        check_key(upload.key)
        with suppress(NoSuchUpload), oss_errors("AbortMultipartUpload"):
            _check_begun(upload)
            answer = self._bucket.abort_multipart_upload(upload.key, upload.upload_id)
            answer.resp.read()  # as in complete_upload

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        check_prefix(prefix)
        marker, id_marker = "", ""
        while True:
            with oss_errors("ListMultipartUploads"):
                page = self._bucket.list_multipart_uploads(
                    prefix, key_marker=marker, upload_id_marker=id_marker, max_uploads=self._page_max
                )
            for item in page.upload_list:
                yield Upload(item.key, item.upload_id, float(item.initiation_date))
            if not page.is_truncated:
                return
            if (page.next_key_marker, page.next_upload_id_marker) == (marker, id_marker):
                raise OutcomeUnknown("ListMultipartUploads: OSS gives the same page again")
            marker, id_marker = page.next_key_marker, page.next_upload_id_marker


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Encode ``metadata`` as headers. Raises ValueError for what headers cannot carry."""
    check_metadata(metadata)
    return {f"{_PREFIX}{name}": value for name, value in metadata.items()}


def read_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Find the metadata among an answer's headers."""
    lowered = ((name.lower(), value) for name, value in headers.items())
    return {name.removeprefix(_PREFIX): value for name, value in lowered if name.startswith(_PREFIX)}


class _Seal(NamedTuple):
    """What a receipt says of its part's content: OSS's tag, and our checksum if the receipt is one of ours."""

    tag: str
    crc64: int | None


def _check_begun(upload: Upload) -> None:
    """Ask nothing of OSS about an upload without an id: without one the call is another."""
    if not upload.upload_id:
        raise NoSuchUpload("an upload has an id")


def _read_receipts(receipts: Sequence[PartReceipt]) -> list[_Seal]:
    """Read what we encoded; the SDK would sort parts that are out of order, and OSS refuses most of the rest."""
    check_order(receipts)
    seals = []
    for receipt in receipts:
        tag, _, checksum = receipt.etag.partition(".")
        if not tag:
            raise InvalidParts(f"the receipt of part {receipt.part_number} has no tag")
        crc64 = None
        with suppress(ValueError):
            crc64 = int(checksum, 16)
        seals.append(_Seal(tag, crc64))
    return seals


def _join(receipts: Sequence[PartReceipt], seals: Sequence[_Seal]) -> int | None:
    """Compute the checksum of the whole from those of its parts; None when one is not known."""
    whole = 0
    for receipt, seal in zip(receipts, seals, strict=True):
        if seal.crc64 is None:
            return None
        whole = join_crc64(whole, seal.crc64, second_size=receipt.size)
    return whole
