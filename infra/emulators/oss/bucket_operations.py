"""What can be done with a bucket, lists aside."""

from __future__ import annotations

from urllib.parse import quote, unquote

from infra.emulators.oss.answer import Answer, Node, document_answer, parsed
from infra.emulators.oss.object_settings import acl_document, owner
from infra.emulators.oss.object_writes import publish_removal
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request
from infra.emulators.oss.server_clock import iso_date
from infra.emulators.oss.storage import Bucket
from infra.emulators.oss.store import Store

SETTINGS = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "NoSuchServerSideEncryptionRule",
    "lifecycle": "NoSuchLifecycle",
    "policy": "NoSuchBucketPolicy",
    "tagging": "NoSuchTagSet",
    "website": "NoSuchWebsiteConfiguration",
}
"""Parts of a bucket's configuration that are kept and given back as they came, and the error when there is none."""
_KEYS_MAX = 1000


def list_buckets(store: Store, request: Request) -> Answer:
    lines = [_bucket_line(store, request, bucket) for _, bucket in sorted(store.storage.buckets.items())]
    return document_answer(Node("ListAllMyBucketsResult", owner(), Node("Buckets", *lines)))


def put_bucket(store: Store, request: Request) -> Answer:
    request.body.drain()
    bucket = store.storage.buckets.setdefault(request.bucket, Bucket(request.bucket, store.clock.now()))
    bucket.acl = request.headers.get("x-oss-acl", bucket.acl)
    return Answer()


def delete_bucket(store: Store, request: Request) -> Answer:
    with store.storage.lock:
        if store.storage.bucket(request.bucket).objects or store.uploads.of_bucket(request.bucket):
            raise OssError("BucketNotEmpty", facts={"BucketName": request.bucket})
        del store.storage.buckets[request.bucket]
    return Answer(204)


def head_bucket(store: Store, request: Request) -> Answer:
    store.storage.bucket(request.bucket)
    return Answer()


def get_bucket_info(store: Store, request: Request) -> Answer:
    bucket = store.storage.bucket(request.bucket)
    line = _bucket_line(store, request, bucket)
    more = (owner(), Node("AccessControlList", Node("Grant", bucket.acl)))
    return document_answer(Node("BucketInfo", Node("Bucket", *line.children, *more)))


def get_bucket_location(store: Store, request: Request) -> Answer:
    store.storage.bucket(request.bucket)
    return document_answer(Node("LocationConstraint", f"oss-{store.region}"))


def get_bucket_stat(store: Store, request: Request) -> Answer:
    with store.storage.lock:
        objects = list(store.storage.bucket(request.bucket).objects.values())
    nodes = (
        Node("Storage", sum(stored.size for stored in objects)),
        Node("ObjectCount", len(objects)),
        Node("MultipartUploadCount", len(store.uploads.of_bucket(request.bucket))),
    )
    return document_answer(Node("BucketStat", *nodes))


def bucket_acl(store: Store, request: Request) -> Answer:
    bucket = store.storage.bucket(request.bucket)
    if request.method == "PUT":
        bucket.acl = request.headers.get("x-oss-acl", "private")
        return Answer()
    return document_answer(acl_document(bucket.acl))


def bucket_setting(store: Store, request: Request) -> Answer:
    settings = store.storage.bucket(request.bucket).settings
    name = next(name for name in SETTINGS if name in request.query)
    if request.method == "PUT":
        settings[name] = request.body.read_all()
        return Answer()
    if request.method == "DELETE":
        settings.pop(name, None)
        return Answer(204)
    if name not in settings:
        raise OssError(SETTINGS[name], "The bucket has no such configuration.", status=404)
    return Answer(headers={"Content-Type": "application/xml"}, body=settings[name])


def delete_multiple_objects(store: Store, request: Request) -> Answer:
    """Remove up to 1,000 objects; one that is not there counts as removed."""
    store.storage.bucket(request.bucket)
    root = parsed(request.body.read_all())
    is_quoted = root.findtext("EncodingType", request.query.get("encoding-type", "")) == "url"
    keys = [key.findtext("Key", "") for key in root.iter("Object")]
    if not 0 < len(keys) <= _KEYS_MAX or root.tag != "Delete":
        raise OssError("MalformedXML")
    for key in (unquote(key) if is_quoted else key for key in keys):
        if store.storage.delete(request.bucket, key):
            publish_removal(store, request, "DeleteObjects", key)
    if root.findtext("Quiet", "false") == "true":
        return Answer()
    written = quote if request.query.get("encoding-type") == "url" or is_quoted else str
    lines = [Node("Deleted", Node("Key", written(unquote(key) if is_quoted else key))) for key in keys]
    encoding = Node("EncodingType", "url") if written is quote else None
    return document_answer(Node("DeleteResult", encoding, *lines))


def _bucket_line(store: Store, request: Request, bucket: Bucket) -> Node:
    host = request.headers.get("host", "")
    return Node(
        "Bucket",
        Node("CreationDate", iso_date(bucket.made_at)),
        Node("ExtranetEndpoint", host),
        Node("IntranetEndpoint", host),
        Node("Location", f"oss-{store.region}"),
        Node("Name", bucket.name),
        Node("StorageClass", "Standard"),
    )
