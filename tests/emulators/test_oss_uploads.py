"""Uploads in parts: order, checks, repeats, and what is visible when."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import oss2
import pytest
from oss2 import models

from infra.emulators.oss import OssServer, serving_oss
from tests.contracts.crc64_oracle import crc64_oracle
from tests.emulators.oss_callers import bucket_of, call, connected, drained, eventually, link

PART = b"0123456789abcdef" * (100 * 1024 // 16)
assert len(PART) == 102_400, "the smallest part that need not be the last"


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssServer]:
    with serving_oss(folder=tmp_path) as server:
        yield server


@pytest.fixture
def bucket(oss: OssServer) -> Iterator[oss2.Bucket]:
    with bucket_of(oss) as caller:
        yield caller


def begun(bucket: oss2.Bucket, *contents: bytes, key: str = "a") -> tuple[str, list[models.PartInfo]]:
    """An upload with these parts."""
    upload_id = str(bucket.init_multipart_upload(key).upload_id)
    return upload_id, [put(bucket, upload_id, number, content, key) for number, content in enumerate(contents, 1)]


def put(bucket: oss2.Bucket, upload_id: str, number: int, content: bytes, key: str = "a") -> models.PartInfo:
    answer = bucket.upload_part(key, upload_id, number, content)
    return models.PartInfo(number, answer.etag, size=len(content), part_crc=answer.crc)


def complete(bucket: oss2.Bucket, upload_id: str, parts: Sequence[models.PartInfo]) -> models.PutObjectResult:
    return drained(bucket.complete_multipart_upload("a", upload_id, list(parts)))


def refusal(
    oss: OssServer, bucket: oss2.Bucket, upload_id: str, named: Sequence[models.PartInfo]
) -> tuple[int, str, str]:
    """Status, code and finer code of a completion that must fail; past the SDK, which puts the parts in order."""
    lines = (f"<Part><PartNumber>{it.part_number}</PartNumber><ETag>{it.etag}</ETag></Part>" for it in named)
    body = f"<CompleteMultipartUpload>{''.join(lines)}</CompleteMultipartUpload>".encode()
    reply = call(oss, "POST", link(bucket, "a", "POST", uploadId=upload_id), body=body)
    told = reply.error()
    return reply.status, told["Code"], told.get("EC", "")


def test_nothing_is_visible_before_completion_and_everything_after(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"old")
    upload_id, parts = begun(bucket, PART, b"tail")
    assert oss.content("sluice-in", "a") == b"old"
    done = complete(bucket, upload_id, parts)
    assert oss.content("sluice-in", "a") == PART + b"tail"
    assert str(done.crc) == crc64_oracle(PART + b"tail")
    digests = hashlib.md5(PART).digest() + hashlib.md5(b"tail").digest()
    assert done.etag == f"{hashlib.md5(digests).hexdigest().upper()}-2"
    assert len(list(oss.store.storage.folder.iterdir())) == 1, "parts and the replaced object are gone from the disk"


def test_a_part_put_again_counts_with_its_last_content(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, PART, b"tail")
    again = put(bucket, upload_id, 2, b"TAIL")
    assert refusal(oss, bucket, upload_id, parts)[:2] == (400, "InvalidPart")
    complete(bucket, upload_id, [parts[0], again])
    assert oss.content("sluice-in", "a") == PART + b"TAIL"


def test_numbers_need_not_be_consecutive_and_unnamed_parts_are_dropped(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket)
    parts = [put(bucket, upload_id, number, PART) for number in (5, 1, 10_000)]
    complete(bucket, upload_id, [parts[1], parts[2]])
    assert oss.content("sluice-in", "a") == PART * 2
    assert len(list(oss.store.storage.folder.iterdir())) == 1


def test_completion_checks_order_names_and_sizes_and_may_be_tried_again(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, PART, PART[:-1], b"tail")
    assert refusal(oss, bucket, upload_id, [parts[1], parts[0]]) == (400, "InvalidPartOrder", "0042-00000209")
    assert refusal(oss, bucket, upload_id, [parts[0], parts[0]])[:2] == (400, "InvalidPartOrder")
    assert refusal(oss, bucket, upload_id, [models.PartInfo(4, parts[0].etag)])[:2] == (400, "InvalidPart")
    assert refusal(oss, bucket, upload_id, [models.PartInfo(1, parts[1].etag)])[:2] == (400, "InvalidPart")
    assert refusal(oss, bucket, upload_id, parts) == (400, "EntityTooSmall", "0042-00000213")
    assert refusal(oss, bucket, upload_id, [])[:2] == (400, "MalformedXML")
    assert oss.keys("sluice-in") == []
    complete(bucket, upload_id, [parts[0], parts[2]])
    assert oss.content("sluice-in", "a") == PART + b"tail"


def test_the_smallest_part_can_be_made_smaller_for_a_test(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, b"123", b"45", b"6")
    oss.part_bytes_min = 3
    assert refusal(oss, bucket, upload_id, parts)[1] == "EntityTooSmall"
    oss.part_bytes_min = 2
    complete(bucket, upload_id, parts)
    assert oss.content("sluice-in", "a") == b"123456"


def test_an_upload_that_is_over_is_no_upload(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, PART)
    complete(bucket, upload_id, parts)
    assert refusal(oss, bucket, upload_id, parts)[:2] == (404, "NoSuchUpload")
    for over in (upload_id, "never-was"):
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.abort_multipart_upload("a", over)
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.upload_part("a", over, 2, b"x")
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.list_parts("a", over)
    assert oss.content("sluice-in", "a") == PART


def test_an_upload_belongs_to_its_key(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, PART, key="a")
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.upload_part("b", upload_id, 1, PART)
    with bucket_of(oss, name="sluice-out") as other, pytest.raises(oss2.exceptions.NoSuchUpload):
        other.abort_multipart_upload("a", upload_id)


def test_abort_drops_the_parts(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, PART, b"tail")
    assert oss.upload_ids("sluice-in") == [upload_id]
    bucket.abort_multipart_upload("a", upload_id)
    assert oss.upload_ids("sluice-in") == []
    assert list(oss.store.storage.folder.iterdir()) == []


def test_a_part_that_comes_in_after_the_abort_is_refused(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket)
    target = link(bucket, "a", "PUT", uploadId=upload_id, partNumber="1").removeprefix(oss.endpoint)
    with connected(oss) as connection:
        connection.putrequest("PUT", target)
        connection.putheader("Content-Length", str(len(PART)))
        connection.endheaders(PART[:1000])
        eventually(lambda: len(list(oss.store.storage.folder.iterdir())) == 1)
        bucket.abort_multipart_upload("a", upload_id)
        connection.send(PART[1000:])
        with connection.getresponse() as answer:
            assert (answer.status, b"<Code>NoSuchUpload</Code>" in answer.read()) == (404, True)
    assert list(oss.store.storage.folder.iterdir()) == []


def test_one_of_many_completions_wins(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, *[PART] * 5)

    def attempt(_: int) -> bool:
        with bucket_of(oss) as caller, suppress(oss2.exceptions.NoSuchUpload):
            complete(caller, upload_id, parts)
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
    assert oss.content("sluice-in", "a") == PART * 5


def test_a_completion_that_waited_for_another_finds_no_upload(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, PART)
    upload = oss.store.uploads.find(upload_id, "sluice-in", "a")

    def attempt(_: int) -> str:
        with bucket_of(oss) as caller:
            try:
                complete(caller, upload_id, parts)
            except oss2.exceptions.ServerError as refused:
                return str(refused.code)
            return "done"

    with ThreadPoolExecutor(2) as pool:
        with upload.lock:
            ends = [pool.submit(attempt, number) for number in range(2)]
            time.sleep(0.2)  # both have found the upload and wait for it; should one be late, the test only proves less
        assert sorted(end.result() for end in ends) == ["NoSuchUpload", "done"]


def test_forbidding_to_overwrite_counts_at_the_begin_and_at_the_end(oss: OssServer, bucket: oss2.Bucket) -> None:
    forbid = {"x-oss-forbid-overwrite": "true"}
    upload_id = bucket.init_multipart_upload("a", headers=forbid).upload_id
    parts = [put(bucket, upload_id, 1, PART)]
    bucket.put_object("a", b"other")
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.complete_multipart_upload("a", upload_id, parts, headers=forbid)
    assert (refused.value.code, refused.value.details["EC"]) == ("FileAlreadyExists", "0042-00000214")
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.init_multipart_upload("a", headers=forbid)
    assert refused.value.code == "FileAlreadyExists"
    complete(bucket, upload_id, parts)
    assert oss.content("sluice-in", "a") == PART


@pytest.mark.parametrize("number", ["0", "10001", "-1", "1.5", "x", ""])
def test_part_numbers_run_from_1_to_10000(oss: OssServer, bucket: oss2.Bucket, number: str) -> None:
    upload_id, _ = begun(bucket)
    target = link(bucket, "a", "PUT", uploadId=upload_id, partNumber=number)
    reply = call(oss, "PUT", target, body=b"x")
    assert (reply.status, reply.error()["Code"], reply.error()["EC"]) == (400, "InvalidArgument", "0017-00000220")


def test_a_part_with_another_digest_than_promised_is_refused(bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket)
    with pytest.raises(oss2.exceptions.InvalidDigest):
        bucket.upload_part("a", upload_id, 1, PART, headers={"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    assert bucket.list_parts("a", upload_id).parts == []


@pytest.mark.parametrize("body", [b"", b"<x", b"<a/>", b"<C><Part><PartNumber>x</PartNumber></Part></C>"])
def test_a_completion_that_cannot_be_understood_leaves_the_upload(
    oss: OssServer, bucket: oss2.Bucket, body: bytes
) -> None:
    upload_id, parts = begun(bucket, PART)
    reply = call(oss, "POST", link(bucket, "a", "POST", uploadId=upload_id), body=body)
    assert (reply.status, reply.error()["Code"]) == (400, "MalformedXML")
    complete(bucket, upload_id, parts)


def test_all_parts_can_be_completed_without_naming_them(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, _ = begun(bucket, PART, b"tail")
    drained(bucket.complete_multipart_upload("a", upload_id, None, headers={"x-oss-complete-all": "yes"}))
    assert oss.content("sluice-in", "a") == PART + b"tail"


def test_parts_are_listed_in_pages(oss: OssServer, bucket: oss2.Bucket) -> None:
    upload_id, parts = begun(bucket, *[b"%d" % number for number in range(5)])
    page = bucket.list_parts("a", upload_id, max_parts=2, marker="1")
    assert ([part.part_number for part in page.parts], page.is_truncated, page.next_marker) == ([2, 3], True, "3")
    page = bucket.list_parts("a", upload_id, max_parts=2, marker="3")
    assert ([part.part_number for part in page.parts], page.is_truncated) == ([4, 5], False)
    assert [(part.etag, part.size) for part in page.parts] == [(part.etag, 1) for part in parts[3:]]
    root = ET.fromstring(call(oss, "GET", link(bucket, "a", uploadId=upload_id)).body)
    assert [int(part.findtext("HashCrc64ecma", "")) for part in root.iter("Part")] == [part.part_crc for part in parts]


def test_uploads_are_listed_in_pages_by_key_and_then_by_id(oss: OssServer, bucket: oss2.Bucket) -> None:
    keys = ["x/空 &", "x/a", "x/a", "x/b", "y/c"]
    uploads = sorted((key, str(bucket.init_multipart_upload(key).upload_id)) for key in keys)
    begun(bucket, key="other")
    for size in (1, 2, 4, 1000):
        found = oss2.MultipartUploadIterator(bucket, prefix="x/", max_uploads=size)
        assert [(it.key, it.upload_id) for it in found] == uploads[:4]
    page = bucket.list_multipart_uploads(key_marker="x/a")
    assert [it.key for it in page.upload_list] == ["x/b", "x/空 &", "y/c"], (
        "without an id the marker's key is done with"
    )
    assert page.upload_list[0].initiation_date == pytest.approx(oss.clock.now(), abs=30)
