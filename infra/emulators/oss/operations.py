"""Which operation a request is, by OSS's own names, and who does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from infra.emulators.oss import (
    bucket_listings,
    bucket_operations,
    object_reads,
    object_settings,
    object_writes,
    upload_operations,
)
from infra.emulators.oss.answer import Answer
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request
from infra.emulators.oss.store import Store


class Operation(NamedTuple):
    name: str
    perform: Callable[[Store, Request], Answer]


class _Rule(NamedTuple):
    method: str
    parameters: frozenset[str]
    """Of the query string; all must be there."""
    name: str
    perform: Callable[[Store, Request], Answer]
    header: str = ""
    """Of the request; must be there when named."""


def _rule(
    method: str, parameters: str, name: str, perform: Callable[[Store, Request], Answer], header: str = ""
) -> _Rule:
    return _Rule(method, frozenset(parameters.split()), name, perform, header)


_ON_OBJECTS = (
    _rule("POST", "uploads", "InitiateMultipartUpload", upload_operations.initiate),
    _rule("PUT", "uploadId partNumber", "UploadPartCopy", upload_operations.upload_part_copy, "x-oss-copy-source"),
    _rule("PUT", "uploadId partNumber", "UploadPart", upload_operations.upload_part),
    _rule("POST", "uploadId", "CompleteMultipartUpload", upload_operations.complete),
    _rule("DELETE", "uploadId", "AbortMultipartUpload", upload_operations.abort),
    _rule("GET", "uploadId", "ListParts", upload_operations.list_parts),
    _rule("POST", "append", "AppendObject", object_writes.append_object),
    _rule("PUT", "tagging", "PutObjectTagging", object_settings.object_tagging),
    _rule("GET", "tagging", "GetObjectTagging", object_settings.object_tagging),
    _rule("DELETE", "tagging", "DeleteObjectTagging", object_settings.object_tagging),
    _rule("PUT", "acl", "PutObjectACL", object_settings.object_acl),
    _rule("GET", "acl", "GetObjectACL", object_settings.object_acl),
    _rule("HEAD", "objectMeta", "GetObjectMeta", object_reads.get_object_meta),
    _rule("PUT", "", "CopyObject", object_writes.copy_object, "x-oss-copy-source"),
    _rule("PUT", "", "PutObject", object_writes.put_object),
    _rule("GET", "", "GetObject", object_reads.get_object),
    _rule("HEAD", "", "HeadObject", object_reads.get_object),
    _rule("DELETE", "", "DeleteObject", object_writes.delete_object),
)
_ON_BUCKETS = (
    *(
        _rule(method, name, f"{verb}Bucket{name.capitalize()}", bucket_operations.bucket_setting)
        for name in bucket_operations.SETTINGS
        for method, verb in (("PUT", "Put"), ("GET", "Get"), ("DELETE", "Delete"))
    ),
    _rule("PUT", "acl", "PutBucketACL", bucket_operations.bucket_acl),
    _rule("GET", "acl", "GetBucketACL", bucket_operations.bucket_acl),
    _rule("POST", "delete", "DeleteMultipleObjects", bucket_operations.delete_multiple_objects),
    _rule("GET", "uploads", "ListMultipartUploads", bucket_listings.list_multipart_uploads),
    _rule("GET", "location", "GetBucketLocation", bucket_operations.get_bucket_location),
    _rule("GET", "bucketInfo", "GetBucketInfo", bucket_operations.get_bucket_info),
    _rule("GET", "stat", "GetBucketStat", bucket_operations.get_bucket_stat),
    _rule("GET", "list-type", "ListObjectsV2", bucket_listings.list_objects_v2),
    _rule("GET", "", "ListObjects", bucket_listings.list_objects),
    _rule("HEAD", "", "HeadBucket", bucket_operations.head_bucket),
    _rule("PUT", "", "PutBucket", bucket_operations.put_bucket),
    _rule("DELETE", "", "DeleteBucket", bucket_operations.delete_bucket),
)
_ON_SERVICE = (_rule("GET", "", "ListBuckets", bucket_operations.list_buckets),)
_NOT_DONE = frozenset(
    {
        "website",
        "logging",
        "referer",
        "versioning",
        "versions",
        "versionId",
        "replication",
        "inventory",
        "worm",
        "symlink",
        "restore",
        "cname",
        "transferAcceleration",
        "metaQuery",
        "callback",
        "x-oss-process",
        "live",
        "vod",
        "qosInfo",
        "requestPayment",
        "accessPoint",
    }
)
"""Sub-resources that would change what a request means; asking for one must not look like success."""


def find_operation(request: Request) -> Operation:
    """Raises OssError when the emulator does not know it."""
    asked = request.query.keys()
    rules = _ON_OBJECTS if request.key else _ON_BUCKETS if request.bucket else _ON_SERVICE
    for rule in rules:
        if rule.method == request.method and rule.parameters <= asked and (rule.header or "host") in request.headers:
            if not rule.parameters and (unknown := _NOT_DONE & asked):
                raise OssError("NotImplemented", f"The stand-in does not do ?{min(unknown)}.")
            return Operation(rule.name, rule.perform)
    raise OssError("MethodNotAllowed", facts={"Method": request.method})
