"""Objects in one bucket of Alibaba Cloud OSS."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.errors import BehindTheEnd, oss_errors
from sluice.adapters.aliyun.oss.metadata import metadata_headers, read_metadata
from sluice.adapters.aliyun.oss.reading import RANGE_AS_USUAL, check_span, read_span, read_whole
from sluice.adapters.aliyun.oss.uploads import OssUploads
from sluice.adapters.crc64 import crc64_of
from sluice.adapters.object_names import check_key, check_prefix
from sluice.ports.object_store import ListedObject, ObjectInfo, PartReceipt, Upload
from sluice.ports.store_errors import OutcomeUnknown

DELETES_MAX = 1000
"""The most objects OSS deletes in one request."""
PAGE_MAX = 1000
"""The most lines OSS lists in one request."""
CONNECTIONS_MAX = 32
"""Connections kept open: enough for the parts and chunks that one composer has in flight."""


class OssStore:
    """One request for each call (deletes and listings: one per 1,000), none of them repeated.

    Safe in several threads, which share the open connections.
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
        self._uploads = OssUploads(self._bucket, page_max=page_max)

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
            yield from read_span(answer, check_span(answer, start, end))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        pending = list(dict.fromkeys(keys))
        for first in range(0, len(pending), DELETES_MAX):
            self._delete_batch(pending[first : first + DELETES_MAX])

    def list(self, prefix: str) -> Iterator[ListedObject]:
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

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        return self._uploads.list(prefix)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._uploads.begin(key, metadata)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._uploads.put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._uploads.complete(upload, receipts)

    def abort_upload(self, upload: Upload) -> None:
        self._uploads.abort(upload)

    def _delete_batch(self, keys: Sequence[str]) -> None:
        with oss_errors("DeleteMultipleObjects"):
            answer = self._bucket.batch_delete_objects(keys)
        left = len(set(keys).difference(answer.deleted_keys))
        if left:
            raise OutcomeUnknown(f"DeleteMultipleObjects: OSS does not say that {left} of {len(keys)} objects are gone")
