"""Events: what a function behind the OSS trigger would be handed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oss2
import pytest

from infra.emulators.oss import DropAnswer, DropBefore, Fault, OssServer, serving_oss
from tests.emulators.oss_callers import bucket_of, drained


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssServer]:
    with serving_oss(folder=tmp_path) as server:
        yield server


@pytest.fixture
def bucket(oss: OssServer) -> Iterator[oss2.Bucket]:
    with bucket_of(oss) as caller:
        yield caller


@pytest.fixture
def heard(oss: OssServer) -> list[dict[str, Any]]:
    """What a listener was told, one event after the other."""
    events: list[dict[str, Any]] = []
    oss.listen(lambda told: events.extend(told["events"]))
    return events


def test_a_put_is_told_in_the_triggers_form(oss: OssServer, bucket: oss2.Bucket, heard: list[dict[str, Any]]) -> None:
    put = bucket.put_object("in/v1/a.manifest.json", b"hello")
    oss.settle()
    assert len(heard) == 1
    told = heard[0]
    assert told["eventName"] == "ObjectCreated:PutObject"
    assert told["eventSource"] == "acs:oss"
    assert told["eventVersion"] == "1.0"
    assert told["region"] == "cn-hangzhou"
    assert told["eventTime"].endswith("Z")
    assert told["oss"]["bucket"]["name"] == "sluice-in"
    assert told["oss"]["bucket"]["arn"].startswith("acs:oss:cn-hangzhou:")
    assert told["oss"]["object"] == {"deltaSize": 5, "eTag": put.etag, "key": "in/v1/a.manifest.json", "size": 5}
    assert told["responseElements"]["requestId"] == put.request_id
    assert set(told) == {
        "eventName",
        "eventSource",
        "eventTime",
        "eventVersion",
        "oss",
        "region",
        "requestParameters",
        "responseElements",
        "userIdentity",
    }


def test_each_change_has_its_name_and_reading_has_none(
    oss: OssServer, bucket: oss2.Bucket, heard: list[dict[str, Any]]
) -> None:
    bucket.put_object("a", b"1")
    drained(bucket.copy_object("sluice-in", "a", "b"))
    bucket.append_object("log", 0, b"1")
    upload_id = bucket.init_multipart_upload("big").upload_id
    part = oss2.models.PartInfo(1, bucket.upload_part("big", upload_id, 1, b"123").etag)
    drained(bucket.complete_multipart_upload("big", upload_id, [part]))
    upload_id = bucket.init_multipart_upload("big").upload_id
    drained(bucket.upload_part_copy("sluice-in", "a", None, "big", upload_id, 1))
    bucket.abort_multipart_upload("big", upload_id)
    bucket.get_object("a").read()
    bucket.list_objects()
    bucket.delete_object("a")
    bucket.delete_object("never-was")
    bucket.batch_delete_objects(["b", "never-was"])
    oss.settle()
    assert [(told["eventName"], told["oss"]["object"]["key"]) for told in heard] == [
        ("ObjectCreated:PutObject", "a"),
        ("ObjectCreated:CopyObject", "b"),
        ("ObjectCreated:AppendObject", "log"),
        ("ObjectCreated:InitiateMultipartUpload", "big"),
        ("ObjectCreated:UploadPart", "big"),
        ("ObjectCreated:CompleteMultipartUpload", "big"),
        ("ObjectCreated:InitiateMultipartUpload", "big"),
        ("ObjectCreated:UploadPartCopy", "big"),
        ("ObjectRemoved:AbortMultipartUpload", "big"),
        ("ObjectRemoved:DeleteObject", "a"),
        ("ObjectRemoved:DeleteObjects", "b"),
    ]
    assert heard[5]["oss"]["object"]["size"] == 3


@pytest.mark.parametrize(
    ("form", "written"),
    [("quoted", "in/a%20b%2B%E7%A9%BA"), ("quoted-slashes", "in%2Fa%20b%2B%E7%A9%BA"), ("plain", "in/a b+空")],
)
def test_keys_are_written_in_the_form_that_the_test_chooses(
    oss: OssServer, bucket: oss2.Bucket, heard: list[dict[str, Any]], form: Any, written: str
) -> None:
    oss.events.key_form = form
    bucket.put_object("in/a b+空", b"")
    oss.settle()
    assert heard[0]["oss"]["object"]["key"] == written


def test_what_was_not_done_is_not_told_and_what_was_done_is(
    oss: OssServer, bucket: oss2.Bucket, heard: list[dict[str, Any]]
) -> None:
    bucket.put_object("a", b"1")
    with pytest.raises(oss2.exceptions.ServerError):
        bucket.put_object("a", b"2", headers={"x-oss-forbid-overwrite": "true"})
    for key, action in (("b", DropBefore()), ("c", DropAnswer())):
        oss.faults.add(Fault(action=action))
        with pytest.raises(oss2.exceptions.RequestError):
            bucket.put_object(key, b"1")
    oss.settle()
    assert [told["oss"]["object"]["key"] for told in heard] == ["a", "c"]


def test_a_listener_may_call_the_store_and_take_its_time(oss: OssServer, bucket: oss2.Bucket) -> None:
    copied = threading.Event()

    def copy(told: dict[str, Any]) -> None:
        event = told["events"][0]
        if event["oss"]["bucket"]["name"] == "sluice-in":
            with bucket_of(oss, name="sluice-out") as out:
                out.put_object("copied", b"1")
            copied.set()

    oss.listen(copy)
    bucket.put_object("a", b"1")
    assert copied.wait(10)
    oss.settle()
    assert oss.keys("sluice-out") == ["copied"]


def test_a_listener_that_fails_fails_the_test(tmp_path: Path) -> None:
    def fail(_: dict[str, Any]) -> None:
        raise ZeroDivisionError

    def scenario() -> None:
        with serving_oss(folder=tmp_path) as oss, bucket_of(oss) as bucket:
            oss.listen(fail)
            bucket.put_object("a", b"1")

    with pytest.raises(ExceptionGroup) as seen:
        scenario()
    assert seen.value.subgroup(ZeroDivisionError)


def test_waiting_for_a_listener_that_does_not_return_ends(oss: OssServer, bucket: oss2.Bucket) -> None:
    release = threading.Event()

    def wait(_: dict[str, Any]) -> None:
        release.wait()

    oss.listen(wait)
    bucket.put_object("a", b"1")
    with pytest.raises(TimeoutError):
        oss.settle(0.05)
    release.set()
    oss.settle()
