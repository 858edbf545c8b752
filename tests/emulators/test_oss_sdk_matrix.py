"""The unmodified SDK against the stand-in: each thing it can ask, with each kind of credentials."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import oss2
import pytest
from oss2 import models

from infra.emulators.oss import OssServer, serving_oss
from tests.emulators.oss_callers import AUTHS, Auth, bucket_of, call, drained

KEY = "导出/报表 a+b%.xlsx"
DATA = bytes(range(256)) * 1024
PART = DATA[: 100 * 1024]


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssServer]:
    with serving_oss(folder=tmp_path) as server:
        yield server


@pytest.fixture(params=list(AUTHS.values()), ids=list(AUTHS))
def bucket(request: pytest.FixtureRequest, oss: OssServer) -> Iterator[oss2.Bucket]:
    with bucket_of(oss, request.param(oss)) as caller:
        yield caller


def test_an_object_comes_back_with_its_checksums_and_metadata(bucket: oss2.Bucket) -> None:
    put = bucket.put_object(KEY, DATA, headers={"Content-Type": "application/x", "x-oss-meta-a": "zz"})
    assert put.etag == hashlib.md5(DATA).hexdigest().upper()
    assert len(put.request_id) == 24
    got = bucket.get_object(KEY)
    assert got.read() == DATA
    assert got.client_crc == got.server_crc == put.crc
    head = bucket.head_object(KEY)
    assert (head.content_length, head.content_type, head.headers["x-oss-meta-a"]) == (len(DATA), "application/x", "zz")
    assert head.server_crc == put.crc
    assert bucket.get_object_meta(KEY).content_length == len(DATA)
    assert bucket.object_exists(KEY)
    assert not bucket.object_exists("no")


def test_ranges_of_an_object_can_be_read(bucket: oss2.Bucket) -> None:
    bucket.put_object(KEY, DATA)
    got = bucket.get_object(KEY, byte_range=(100, 199))
    assert (got.status, got.headers["Content-Range"]) == (206, f"bytes 100-199/{len(DATA)}")
    assert got.read() == DATA[100:200]
    assert bucket.get_object(KEY, byte_range=(None, 10)).read() == DATA[-10:]
    assert bucket.get_object(KEY, byte_range=(len(DATA) - 3, None)).read() == DATA[-3:]


def test_a_missing_object_and_a_missing_bucket_have_names(oss: OssServer, bucket: oss2.Bucket) -> None:
    with pytest.raises(oss2.exceptions.NoSuchKey) as missing:
        bucket.get_object("no")
    assert missing.value.request_id
    assert missing.value.details["EC"] == "0026-00000001"
    with bucket_of(oss, bucket.auth, name="no-such-bucket") as other, pytest.raises(oss2.exceptions.NoSuchBucket):
        other.put_object("a", b"1")


def test_overwriting_can_be_forbidden(bucket: oss2.Bucket) -> None:
    bucket.put_object("once", b"1", headers={"x-oss-forbid-overwrite": "true"})
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.put_object("once", b"2", headers={"x-oss-forbid-overwrite": "true"})
    assert (refused.value.status, refused.value.code) == (409, "FileAlreadyExists")
    assert bucket.get_object("once").read() == b"1"


def test_a_body_of_unknown_length_is_stored(bucket: oss2.Bucket) -> None:
    bucket.put_object("chunked", iter([b"abc", b"", b"def"]))
    assert bucket.get_object("chunked").read() == b"abcdef"


def test_bytes_can_be_appended(bucket: oss2.Bucket) -> None:
    first = bucket.append_object("log", 0, b"123")
    second = bucket.append_object("log", first.next_position, b"456", init_crc=first.crc)
    assert (second.next_position, bucket.get_object("log").read()) == (6, b"123456")
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as refused:
        bucket.append_object("log", 2, b"x")
    assert refused.value.next_position == 6


def test_an_object_can_be_copied(bucket: oss2.Bucket) -> None:
    bucket.put_object(KEY, DATA, headers={"x-oss-meta-a": "zz"})
    drained(bucket.copy_object(bucket.bucket_name, KEY, "拷贝.bin"))
    assert bucket.get_object("拷贝.bin").read() == DATA
    assert bucket.head_object("拷贝.bin").headers["x-oss-meta-a"] == "zz"


def test_listings_come_in_pages_and_roll_up(bucket: oss2.Bucket) -> None:
    for name in ["p/0 &<.txt", "p/1.txt", "p/空.txt", "p/sub/x", "p/sub/y", "q"]:
        bucket.put_object(name, b"x")
    found = list(oss2.ObjectIteratorV2(bucket, prefix="p/", delimiter="/", max_keys=2))
    assert [entry.key for entry in found] == ["p/0 &<.txt", "p/1.txt", "p/sub/", "p/空.txt"]
    assert [entry.key for entry in found if entry.is_prefix()] == ["p/sub/"]
    keys = [entry.key for entry in oss2.ObjectIterator(bucket, max_keys=1)]
    assert keys == ["p/0 &<.txt", "p/1.txt", "p/sub/x", "p/sub/y", "p/空.txt", "q"]
    first = bucket.list_objects_v2(max_keys=1).object_list[0]
    assert (first.size, first.etag, first.type) == (1, hashlib.md5(b"x").hexdigest().upper(), "Normal")


def test_an_upload_in_parts_becomes_an_object(bucket: oss2.Bucket) -> None:
    told = {"Content-Disposition": 'attachment; filename="x.xlsx"', "x-oss-meta-k": "v"}
    upload_id = bucket.init_multipart_upload("big", headers=told).upload_id
    parts = []
    for number in (1, 2, 3):
        put = bucket.upload_part("big", upload_id, number, PART)
        parts.append(models.PartInfo(number, put.etag, size=len(PART), part_crc=put.crc))
    listed = list(oss2.PartIterator(bucket, "big", upload_id, max_parts=2))
    assert [(part.part_number, part.size) for part in listed] == [(1, len(PART)), (2, len(PART)), (3, len(PART))]
    assert not bucket.object_exists("big")
    done = drained(bucket.complete_multipart_upload("big", upload_id, parts))  # compares the whole's checksum itself
    assert done.etag.endswith("-3")
    got = bucket.get_object("big")
    assert got.read() == PART * 3
    assert got.client_crc == got.server_crc == done.crc
    assert got.headers["Content-Disposition"] == told["Content-Disposition"]
    assert got.headers["x-oss-meta-k"] == "v"
    assert got.headers["x-oss-object-type"] == "Multipart"


def test_parts_can_be_copied_from_objects(bucket: oss2.Bucket) -> None:
    bucket.put_object(KEY, DATA)
    upload_id = bucket.init_multipart_upload("copied").upload_id
    first = drained(bucket.upload_part_copy(bucket.bucket_name, KEY, (1000, 200_999), "copied", upload_id, 1))
    second = bucket.upload_part("copied", upload_id, 2, b"tail")
    parts = [models.PartInfo(1, first.etag), models.PartInfo(2, second.etag)]
    drained(bucket.complete_multipart_upload("copied", upload_id, parts))
    assert bucket.get_object("copied").read() == DATA[1000:201_000] + b"tail"


def test_small_parts_are_refused_unless_last(bucket: oss2.Bucket) -> None:
    upload_id = bucket.init_multipart_upload("small").upload_id
    parts = [models.PartInfo(n, bucket.upload_part("small", upload_id, n, b"x" * 1000).etag) for n in (1, 2)]
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.complete_multipart_upload("small", upload_id, parts)
    assert (refused.value.status, refused.value.code) == (400, "EntityTooSmall")
    drained(bucket.complete_multipart_upload("small", upload_id, parts[:1]))
    assert bucket.get_object("small").read() == b"x" * 1000


def test_an_aborted_upload_is_gone(bucket: oss2.Bucket) -> None:
    upload_id = bucket.init_multipart_upload("aborted").upload_id
    bucket.upload_part("aborted", upload_id, 1, PART)
    assert [upload.upload_id for upload in oss2.MultipartUploadIterator(bucket)] == [upload_id]
    bucket.abort_multipart_upload("aborted", upload_id)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.upload_part("aborted", upload_id, 2, PART)
    assert list(oss2.MultipartUploadIterator(bucket)) == []


def test_the_sdks_own_uploader_works(bucket: oss2.Bucket, tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(DATA * 4)
    store = oss2.ResumableStore(root=str(tmp_path))
    drained(
        oss2.resumable_upload(
            bucket, "resumed", str(file), store=store, multipart_threshold=1 << 18, part_size=1 << 18, num_threads=2
        )
    )
    assert bucket.get_object("resumed").read() == DATA * 4


def test_many_objects_are_deleted_at_once(bucket: oss2.Bucket) -> None:
    names = ["d/0", "d/空 &", "d/2"]
    for name in names:
        bucket.put_object(name, b"x")
    assert sorted(bucket.batch_delete_objects([*names, "never-was"]).deleted_keys) == sorted([*names, "never-was"])
    assert list(oss2.ObjectIterator(bucket, prefix="d/")) == []
    bucket.delete_object("never-was")


def test_links_work_until_changed_or_expired(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object(KEY, DATA)
    link = bucket.sign_url("GET", KEY, 60, slash_safe=True)
    assert call(oss, "GET", link).body == DATA
    assert call(oss, "GET", bucket.sign_url("GET", KEY, 60)).body == DATA, "with %2F for the slashes"
    assert call(oss, "GET", link.replace("xlsx", "csv")).error()["Code"] == "SignatureDoesNotMatch"
    assert call(oss, "PUT", link, body=b"x").error()["Code"] == "SignatureDoesNotMatch"
    oss.clock.offset_s = 61
    assert call(oss, "GET", link).error()["Message"] == "Request has expired."


def test_links_can_name_the_download_and_take_uploads(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object(KEY, DATA, headers={"Content-Disposition": "inline"})
    chosen = "attachment; filename*=UTF-8''%E6%8A%A5.xlsx"
    link = bucket.sign_url("GET", KEY, 60, params={"response-content-disposition": chosen}, slash_safe=True)
    assert call(oss, "GET", link).headers["content-disposition"] == chosen
    upload = bucket.sign_url("PUT", "by-link", 60, headers={"Content-Type": "text/plain"})
    assert call(oss, "PUT", upload, headers={"Content-Type": "text/plain"}, body=b"hello").status == 200
    assert bucket.get_object("by-link").read() == b"hello"


def test_tags_are_kept(bucket: oss2.Bucket) -> None:
    bucket.put_object("tagged", b"1", headers={"x-oss-tagging": "a=1&b=%E7%A9%BA"})
    assert bucket.get_object_tagging("tagged").tag_set.tagging_rule == {"a": "1", "b": "空"}
    rule = models.TaggingRule()
    rule.add("task", "任务1")
    bucket.put_object_tagging("tagged", models.Tagging(rule))
    assert bucket.get_object_tagging("tagged").tag_set.tagging_rule == {"task": "任务1"}
    bucket.delete_object_tagging("tagged")
    assert not bucket.get_object_tagging("tagged").tag_set.tagging_rule


def test_storage_class_and_access_are_kept(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("rare", b"1", headers={"x-oss-storage-class": "IA"})
    assert bucket.head_object("rare").headers["x-oss-storage-class"] == "IA"
    assert call(oss, "GET", "/sluice-in/rare").status == 403
    bucket.put_object_acl("rare", oss2.OBJECT_ACL_PUBLIC_READ)
    assert bucket.get_object_acl("rare").acl == "public-read"
    assert call(oss, "GET", "/sluice-in/rare").body == b"1"


def test_lifecycle_and_cors_rules_are_kept(bucket: oss2.Bucket) -> None:
    with pytest.raises(oss2.exceptions.NoSuchLifecycle):
        bucket.get_bucket_lifecycle()
    rule = models.LifecycleRule(
        "expire",
        "exports/",
        status=models.LifecycleRule.ENABLED,
        expiration=models.LifecycleExpiration(days=7),
        abort_multipart_upload=models.AbortMultipartUpload(days=1),
    )
    bucket.put_bucket_lifecycle(models.BucketLifecycle([rule]))
    kept = bucket.get_bucket_lifecycle().rules[0]
    assert (kept.prefix, kept.expiration.days, kept.abort_multipart_upload.days) == ("exports/", 7, 1)
    bucket.delete_bucket_lifecycle()
    with pytest.raises(oss2.exceptions.NoSuchLifecycle):
        bucket.get_bucket_lifecycle()
    bucket.put_bucket_cors(models.BucketCors([models.CorsRule(allowed_origins=["*"], allowed_methods=["GET"])]))
    assert bucket.get_bucket_cors().rules[0].allowed_origins == ["*"]


def test_buckets_are_made_described_listed_and_removed(oss: OssServer, bucket: oss2.Bucket) -> None:
    with bucket_of(oss, bucket.auth, name="made-by-test") as made:
        made.create_bucket()
        made.put_object("a", b"123")
        info = made.get_bucket_info()
        assert (info.name, info.location, made.get_bucket_location().location) == (
            "made-by-test",
            "oss-cn-hangzhou",
            "oss-cn-hangzhou",
        )
        assert (made.get_bucket_acl().acl, made.get_bucket_stat().storage_size_in_bytes) == ("private", 3)
        with pytest.raises(oss2.exceptions.BucketNotEmpty):
            made.delete_bucket()
        made.delete_object("a")
        service = oss2.Service(made.auth, oss.endpoint, region=oss.region, session=made.session)
        assert [it.name for it in service.list_buckets().buckets] == ["made-by-test", "sluice-in", "sluice-out"]
        made.delete_bucket()
        assert [it.name for it in service.list_buckets().buckets] == ["sluice-in", "sluice-out"]


def test_an_unchanged_object_is_not_sent_again(bucket: oss2.Bucket) -> None:
    etag = bucket.put_object("kept", b"1").etag
    with pytest.raises(oss2.exceptions.NotModified):
        bucket.get_object("kept", headers={"If-None-Match": f'"{etag}"'})
    with pytest.raises(oss2.exceptions.PreconditionFailed):
        bucket.get_object("kept", headers={"If-Match": '"other"'})


WRONG_SECRETS: dict[str, Callable[[OssServer], Auth]] = {
    "v1": lambda oss: oss2.Auth(oss.access_key_id, "wrong"),
    "v4": lambda oss: oss2.AuthV4(oss.access_key_id, "wrong"),
    "sts-v1": lambda oss: oss2.StsAuth(oss.issue_sts()[0], "wrong", "wrong"),
}


@pytest.mark.parametrize("auth", WRONG_SECRETS.values(), ids=WRONG_SECRETS.keys())
def test_a_wrong_secret_is_refused(oss: OssServer, auth: Callable[[OssServer], Auth]) -> None:
    with bucket_of(oss, auth(oss)) as caller, pytest.raises(oss2.exceptions.ServerError) as refused:
        caller.put_object("a", b"1")
    assert refused.value.status == 403
    assert oss.keys("sluice-in") == []


def test_nobody_in_particular_is_refused(oss: OssServer) -> None:
    reply = call(oss, "PUT", "/sluice-in/a", body=b"1")
    assert (reply.status, reply.error()["Code"]) == (403, "AccessDenied")
    assert oss.keys("sluice-in") == []
