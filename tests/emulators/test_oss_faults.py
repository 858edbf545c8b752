"""Each kind of trouble: what the caller sees, and what is true in the store."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import oss2
import pytest
import requests

from infra.emulators.oss import (
    Action,
    CorruptAnswer,
    CorruptRequest,
    CutAnswer,
    CutRequest,
    Delay,
    DoLater,
    DropAnswer,
    DropBefore,
    Fault,
    Hold,
    OssServer,
    Refuse,
    Throttle,
    serving_oss,
)
from tests.contracts.crc64_oracle import crc64_oracle
from tests.emulators.oss_callers import bucket_of, call, connected, eventually, link

DATA = b"0123456789" * 100_000


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssServer]:
    with serving_oss(folder=tmp_path) as server:
        yield server


@pytest.fixture
def bucket(oss: OssServer) -> Iterator[oss2.Bucket]:
    with bucket_of(oss) as caller:
        yield caller


def put_in_trouble(oss: OssServer, action: Action, content: bytes = DATA) -> tuple[type[ConnectionError], list[str]]:
    """How a bare PUT of key ``a`` ends when it is not answered, and which keys there are then."""
    oss.faults.add(Fault(operation="PutObject", action=action))
    with bucket_of(oss) as caller, pytest.raises(ConnectionError) as seen:
        call(oss, "PUT", link(caller, method="PUT"), body=content)
    return seen.type, oss.keys("sluice-in")


def test_refused_nothing_is_done_and_the_caller_has_the_code(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(operation="PutObject", action=Refuse(500, "InternalError")))
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.put_object("a", DATA)
    assert (refused.value.status, refused.value.code) == (500, "InternalError")
    assert oss.keys("sluice-in") == []
    assert [(sent.status, sent.code, sent.fault) for sent in oss.requests] == [(500, "InternalError", "Refuse")]
    bucket.put_object("a", DATA)


def test_throttled_the_caller_is_told_how_long(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(action=Throttle(delay_ms=250)))
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.put_object("a", DATA)
    assert (refused.value.status, refused.value.code) == (503, "TotalQpsLimitExceeded")
    assert refused.value.headers["x-oss-qos-delay-time"] == "250"
    assert oss.keys("sluice-in") == []


def test_dropped_before_nothing_is_done_and_the_connection_is_reset(oss: OssServer) -> None:
    assert put_in_trouble(oss, DropBefore()) == (ConnectionResetError, [])
    assert [(sent.operation, sent.status, sent.fault) for sent in oss.requests] == [("PutObject", 0, "DropBefore")]


def test_dropped_after_it_is_done_and_the_connection_is_reset(oss: OssServer, bucket: oss2.Bucket) -> None:
    assert put_in_trouble(oss, DropAnswer()) == (ConnectionResetError, ["a"])
    assert oss.content("sluice-in", "a") == DATA
    assert [(sent.operation, sent.status, sent.fault) for sent in oss.requests] == [("PutObject", 200, "DropAnswer")]
    assert bucket.get_object("a").read() == DATA


def test_the_sdk_sees_a_dropped_answer_as_a_broken_request(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(operation="PutObject", action=DropAnswer()))
    with pytest.raises(oss2.exceptions.RequestError):
        bucket.put_object("a", b"1")
    assert oss.content("sluice-in", "a") == b"1"


def test_a_completion_whose_answer_was_lost_looks_like_no_upload_when_repeated(
    oss: OssServer, bucket: oss2.Bucket
) -> None:
    upload_id = bucket.init_multipart_upload("a").upload_id
    parts = [oss2.models.PartInfo(1, bucket.upload_part("a", upload_id, 1, DATA).etag)]
    oss.faults.add(Fault(operation="CompleteMultipartUpload", action=DropAnswer()))
    with pytest.raises(oss2.exceptions.RequestError):
        bucket.complete_multipart_upload("a", upload_id, parts)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.complete_multipart_upload("a", upload_id, parts)
    assert oss.content("sluice-in", "a") == DATA


def test_a_request_cut_in_the_middle_changes_nothing(oss: OssServer) -> None:
    kind, keys = put_in_trouble(oss, CutRequest(after_bytes=300_000), DATA * 20)
    assert issubclass(kind, ConnectionResetError | BrokenPipeError)
    assert keys == []
    assert list(oss.store.storage.folder.iterdir()) == []


def test_an_answer_cut_in_the_middle_ends_early(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("a", DATA)
    oss.faults.add(Fault(operation="GetObject", action=CutAnswer(after_bytes=400_000)))
    with pytest.raises(http.client.IncompleteRead) as seen:
        call(oss, "GET", link(bucket))
    assert seen.value.partial == DATA[:400_000]
    assert seen.value.expected == len(DATA) - 400_000
    assert call(oss, "GET", link(bucket)).body == DATA


def test_an_answer_of_xml_can_be_cut_too(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(operation="ListObjects", action=CutAnswer(after_bytes=30)))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):  # the SDK wraps it only while it waits for a head
        bucket.list_objects()


@pytest.mark.parametrize("at_byte", [0, 999_999])
def test_a_corrupt_answer_does_not_match_its_checksum(oss: OssServer, bucket: oss2.Bucket, at_byte: int) -> None:
    bucket.put_object("a", DATA)
    oss.faults.add(Fault(operation="GetObject", action=CorruptAnswer(at_byte)))
    reply = call(oss, "GET", link(bucket))
    wrong = [index for index, (sent, kept) in enumerate(zip(reply.body, DATA, strict=True)) if sent != kept]
    assert wrong == [at_byte]
    assert reply.headers["x-oss-hash-crc64ecma"] == crc64_oracle(DATA)
    assert oss.content("sluice-in", "a") == DATA


def test_a_corrupt_request_is_stored_and_told_as_it_came_in(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(operation="PutObject", action=CorruptRequest(at_byte=5)))
    with pytest.raises(oss2.exceptions.InconsistentError):
        bucket.put_object("a", DATA)
    kept = oss.content("sluice-in", "a")
    assert [index for index, byte in enumerate(kept) if byte != DATA[index]] == [5]


def test_a_corrupt_request_with_a_digest_is_refused(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(operation="PutObject", action=CorruptRequest(at_byte=0)))
    with pytest.raises(oss2.exceptions.InvalidDigest):
        bucket.put_object("a", b"hello", headers={"Content-MD5": "XUFAKrxLKna5cZ2REBfFkg=="})
    assert oss.keys("sluice-in") == []


@pytest.mark.parametrize("before", [True, False])
def test_a_delay_is_a_delay(oss: OssServer, bucket: oss2.Bucket, before: bool) -> None:  # noqa: FBT001 - parametrized
    oss.faults.add(Fault(operation="PutObject", action=Delay(0.3, before=before)))
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(bucket.put_object, "a", b"1")
        eventually(lambda: bool(oss.keys("sluice-in")))
        assert not before or time.monotonic() - began >= 0.3
        assert putting.result().status == 200
    assert time.monotonic() - began >= 0.3


def test_held_before_nothing_is_done_until_released(oss: OssServer, bucket: oss2.Bucket) -> None:
    gate = Hold()
    oss.faults.add(Fault(operation="PutObject", action=gate))
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(bucket.put_object, "a", DATA)
        gate.wait_reached()
        assert oss.keys("sluice-in") == []
        gate.release()
        assert putting.result().status == 200
    assert oss.content("sluice-in", "a") == DATA


def test_held_after_it_is_done_and_not_yet_answered(oss: OssServer, bucket: oss2.Bucket) -> None:
    gate = Hold(before=False)
    oss.faults.add(Fault(operation="PutObject", action=gate))
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(bucket.put_object, "a", DATA)
        gate.wait_reached()
        assert oss.content("sluice-in", "a") == DATA
        assert not putting.done()
        gate.release()
        assert putting.result().status == 200


def test_held_a_caller_that_gives_up_has_its_wish_later_all_the_same(oss: OssServer) -> None:
    gate = Hold()
    oss.faults.add(Fault(operation="PutObject", action=gate))
    with bucket_of(oss) as caller:
        caller.timeout = 0.2
        with pytest.raises(oss2.exceptions.RequestError):
            caller.put_object("a", b"1")
    assert oss.keys("sluice-in") == []
    gate.release()
    gate.wait_done()
    assert oss.content("sluice-in", "a") == b"1"


def test_done_later_the_caller_is_cut_off_at_once_and_it_happens_when_released(
    oss: OssServer, bucket: oss2.Bucket
) -> None:
    upload_id = bucket.init_multipart_upload("a").upload_id
    parts = [oss2.models.PartInfo(1, bucket.upload_part("a", upload_id, 1, DATA).etag)]
    later = DoLater()
    oss.faults.add(Fault(operation="CompleteMultipartUpload", action=later))
    with pytest.raises(oss2.exceptions.RequestError):
        bucket.complete_multipart_upload("a", upload_id, parts)
    assert not bucket.object_exists("a")
    later.release()
    later.wait_done()
    assert bucket.get_object("a").read() == DATA
    assert bucket.get_object("a").read() == DATA


def test_waiting_for_what_does_not_come_ends(oss: OssServer) -> None:
    gate = Hold()
    oss.faults.add(Fault(action=gate))
    with pytest.raises(TimeoutError):
        gate.wait_reached(0.01)
    with pytest.raises(TimeoutError):
        gate.wait_done(0.01)


def test_faults_are_chosen_by_operation_bucket_key_and_count(oss: OssServer, bucket: oss2.Bucket) -> None:
    fault = oss.faults.add(
        Fault(operation="Put*", bucket="sluice-in", key="in/*.json", action=Refuse(), times=2, after=1)
    )
    assert bucket.put_object("in/x.chunk", b"1").status == 200
    assert bucket.put_object("in/x/1.json", b"1").status == 200, "one passes first"
    assert bucket.get_object("in/x/1.json").read() == b"1"
    with bucket_of(oss, name="sluice-out") as other:
        assert other.put_object("in/x.json", b"1").status == 200
    for _ in range(2):
        with pytest.raises(oss2.exceptions.ServerError):
            bucket.put_object("in/x/2.json", b"1")
    assert fault.met == 2
    assert bucket.put_object("in/x/2.json", b"1").status == 200


def test_the_first_fault_in_wait_is_met_and_then_the_next(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.faults.add(Fault(action=Refuse(500, "First")))
    oss.faults.add(Fault(action=Refuse(500, "Second"), times=None))
    for code in ("First", "Second", "Second"):
        with pytest.raises(oss2.exceptions.ServerError) as refused:
            bucket.put_object("a", b"1")
        assert refused.value.code == code
    oss.faults.clear()
    assert bucket.put_object("a", b"1").status == 200


def test_a_request_with_a_bad_signature_uses_up_no_fault(oss: OssServer) -> None:
    fault = oss.faults.add(Fault(action=Refuse(500)))
    assert call(oss, "PUT", "/sluice-in/a", body=b"1").status == 403
    assert fault.met == 0


def test_clearing_the_faults_lets_go_of_who_is_held(oss: OssServer, bucket: oss2.Bucket) -> None:
    gate = Hold()
    oss.faults.add(Fault(action=gate))
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(bucket.put_object, "a", b"1")
        gate.wait_reached()
        oss.faults.clear()
        assert putting.result().status == 200


def test_the_end_of_the_server_lets_go_of_who_is_held() -> None:
    with ThreadPoolExecutor(2) as pool:
        with serving_oss() as oss, bucket_of(oss) as bucket:
            gate, slow = Hold(), Delay(60)
            oss.faults.add(Fault(key="held", action=gate))
            oss.faults.add(Fault(key="slow", action=slow))
            ends = [pool.submit(call, oss, "PUT", link(bucket, key, "PUT"), body=b"1") for key in ("held", "slow")]
            gate.wait_reached()
            began = time.monotonic()
        assert time.monotonic() - began < 30
        for end in ends:
            end.exception()


def test_every_request_is_recorded_with_what_became_of_it(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"1")
    bucket.get_object("a").read()
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.head_object("b")
    bucket.list_objects_v2()
    call(oss, "PATCH", "/sluice-in/a")
    assert [(it.operation, it.bucket, it.key, it.status, it.code) for it in oss.requests] == [
        ("PutObject", "sluice-in", "a", 200, ""),
        ("GetObject", "sluice-in", "a", 200, ""),
        ("HeadObject", "sluice-in", "b", 404, "NoSuchKey"),
        ("ListObjectsV2", "sluice-in", "", 200, ""),
        ("Unknown", "sluice-in", "a", 405, "MethodNotAllowed"),
    ]
    oss.requests.clear()
    bucket.delete_object("a")
    assert [it.operation for it in oss.requests] == ["DeleteObject"]


def test_what_is_no_http_is_cut_off(oss: OssServer) -> None:
    with connected(oss) as connection:
        connection.connect()
        connection.sock.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            http.client.HTTPResponse(connection.sock).begin()
    assert oss.requests == []
