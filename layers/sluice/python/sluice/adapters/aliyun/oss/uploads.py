"""Uploads in parts to OSS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple

from sluice.adapters.aliyun.oss.errors import oss_errors
from sluice.adapters.aliyun.oss.metadata import metadata_headers
from sluice.adapters.aliyun.oss.sdk import oss2
from sluice.adapters.crc64 import crc64_of, join_crc64
from sluice.adapters.object_names import check_key, check_prefix
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import InvalidParts, NoSuchUpload, OutcomeUnknown

PARTS_MAX = 10_000


class OssUploads:
    """Keeps nothing between two calls: a part's checksum travels in its receipt, behind OSS's own tag."""

    def __init__(self, bucket: Any, *, page_max: int) -> None:
        self._bucket = bucket
        self._page_max = page_max

    def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
        check_key(key)
        headers = metadata_headers(metadata)
        with oss_errors("InitiateMultipartUpload"):
            answer = self._bucket.init_multipart_upload(key, headers=headers)
        if not answer.upload_id:
            raise OutcomeUnknown(f"InitiateMultipartUpload: the answer names no upload (request {answer.request_id})")
        return Upload(key, answer.upload_id)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        check_key(upload.key)
        if not 1 <= part_number <= PARTS_MAX:
            raise ValueError(f"a part's number is from 1 to {PARTS_MAX}")
        _check_begun(upload)
        with oss_errors("UploadPart"):
            answer = self._bucket.upload_part(upload.key, upload.upload_id, part_number, data)
        crc64 = crc64_of(data)
        if answer.crc != crc64 or not answer.etag:
            raise OutcomeUnknown(f"UploadPart: OSS received other bytes (request {answer.request_id})")
        return PartReceipt(part_number, f"{answer.etag}.{crc64:016x}", len(data))

    def complete(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
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

    def abort(self, upload: Upload) -> None:
        check_key(upload.key)
        with suppress(NoSuchUpload), oss_errors("AbortMultipartUpload"):
            _check_begun(upload)
            answer = self._bucket.abort_multipart_upload(upload.key, upload.upload_id)
            answer.resp.read()  # as above

    def list(self, prefix: str) -> Iterator[Upload]:
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


class _Seal(NamedTuple):
    """What a receipt says of its part's content: OSS's tag, and our checksum if the receipt is one of ours."""

    tag: str
    crc64: int | None


def _check_begun(upload: Upload) -> None:
    """Ask nothing of OSS about an upload without an id: without one the call is another."""
    if not upload.upload_id:
        raise NoSuchUpload("an upload has an id")


def _read_receipts(receipts: Sequence[PartReceipt]) -> list[_Seal]:
    """Read what we spelled; the SDK would sort parts that are out of order, and OSS refuses most of the rest."""
    numbers = [receipt.part_number for receipt in receipts]
    if not numbers or numbers[0] < 1 or numbers[-1] > PARTS_MAX or any(a >= b for a, b in pairwise(numbers)):
        raise InvalidParts("parts are named in order, once each, and at least one")
    return [_read_seal(receipt) for receipt in receipts]


def _read_seal(receipt: PartReceipt) -> _Seal:
    tag, _, checksum = receipt.etag.partition(".")
    if not tag:
        raise InvalidParts(f"the receipt of part {receipt.part_number} has no tag")
    with suppress(ValueError):
        return _Seal(tag, int(checksum, 16))
    return _Seal(tag, None)


def _join(receipts: Sequence[PartReceipt], seals: Sequence[_Seal]) -> int | None:
    """Compute the checksum of the whole from those of its parts; None when one is not known."""
    whole = 0
    for receipt, seal in zip(receipts, seals, strict=True):
        if seal.crc64 is None:
            return None
        whole = join_crc64(whole, seal.crc64, second_size=receipt.size)
    return whole
