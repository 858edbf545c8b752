"""What we rely on OSS itself to do, in its own words; with ``--live`` asked of the real service.

The cases C1 to C5, C7, C9, C13, C14 and C16 of the test plan are in the
contract suites, which run against the real service too; here is what needs
the vendor's codes, headers or faults.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, NamedTuple

import pytest

from infra.emulators.oss import DoLater, DropAnswer, Fault, Hold, OssServer, Throttle, serving_oss
from sluice.adapters.aliyun.oss.bucket import OssBucket, oss2
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.retrying import RetryingStore
from sluice.ports.object_store import Upload
from sluice.ports.store_errors import InvalidParts, NoSuchObject, NoSuchUpload, OutcomeUnknown
from tests.contracts.at_once import at_once
from tests.contracts.crc64_oracle import crc64_oracle
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.live_cloud import live_oss_bucket
from tests.support.oss_stores import opened_oss, stand_in_bucket

PART_MIN = 100 * 1024


class Service(NamedTuple):
    """A corner of a bucket, reached by the vendor's SDK and by our store."""

    sdk: Any
    store: OssStore
    prefix: str
    place: OssBucket


@pytest.fixture(scope="module")
def oss() -> Iterator[OssServer]:
    with serving_oss() as oss:
        yield oss


@pytest.fixture(params=["stand-in", pytest.param("live", marks=[pytest.mark.live, pytest.mark.timeout(600)])])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    place = live_oss_bucket() if request.param == "live" else stand_in_bucket(request.getfixturevalue("oss"))
    sdk = place.open(connect_timeout_s=5, read_timeout_s=60, connections_max=100)
    with closing(OssStore(place)) as store, closing(sdk.session.session):
        prefix = f"live/{secrets.token_hex(4)}/"
        try:
            yield Service(sdk, store, prefix, place)
        finally:
            clear(sdk, store, prefix)


def clear(sdk: Any, store: OssStore, prefix: str) -> None:
    """Remove objects of any key, and uploads."""
    for upload in list(store.list_uploads(prefix)):
        store.abort_upload(upload)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(sdk.delete_object, [item.key for item in store.list(prefix)]))


def refusal(call: Any) -> tuple[int, str]:
    """Status and code of what the SDK raises."""
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        call()
    return caught.value.status, caught.value.code


def begin(service: Service, *sizes: int) -> tuple[str, str, list[Any]]:
    """An upload with parts of these sizes: its key, its id, and the parts as the SDK names them."""
    key = f"{service.prefix}upload"
    upload_id = service.sdk.init_multipart_upload(key).upload_id
    parts = []
    for number, size in enumerate(sizes, start=1):
        answer = service.sdk.upload_part(key, upload_id, number, bytes([number]) * size)
        parts.append(oss2.models.PartInfo(number, answer.etag))
    return key, upload_id, parts


def test_every_answer_to_a_write_brings_checksum_and_request_id(service: Service) -> None:  # C1, C16
    answer = service.sdk.put_object(f"{service.prefix}a", b"123456789")
    assert (str(answer.crc), answer.etag) == (crc64_oracle(b"123456789"), "25F9E794323B453885F5181F1B624D0B")
    assert answer.request_id
    key, upload_id, parts = begin(service, PART_MIN, 5)
    whole = service.sdk.complete_multipart_upload(key, upload_id, parts)
    assert str(whole.crc) == crc64_oracle(bytes([1]) * PART_MIN + bytes([2]) * 5)


def test_a_range_brings_the_checksum_of_the_whole_object(service: Service) -> None:
    service.sdk.put_object(f"{service.prefix}a", b"123456789")
    with service.sdk.get_object(f"{service.prefix}a", byte_range=(2, 3)) as answer:
        assert (answer.read(), str(answer.server_crc)) == (b"34", crc64_oracle(b"123456789"))


@pytest.mark.parametrize(
    ("behaviour", "status", "content"), [({}, 200, b"123456789"), ({"x-oss-range-behavior": "standard"}, 206, b"789")]
)
def test_a_range_beyond_the_end_is_the_whole_object_unless_told_otherwise(
    service: Service, behaviour: dict[str, str], status: int, content: bytes
) -> None:
    service.sdk.put_object(f"{service.prefix}a", b"123456789")
    with service.sdk.get_object(f"{service.prefix}a", byte_range=(6, 99), headers=behaviour) as answer:
        assert (answer.status, answer.read()) == (status, content)


def test_completing_twice_is_no_such_upload(service: Service) -> None:  # C5
    key, upload_id, parts = begin(service, 5)
    service.sdk.complete_multipart_upload(key, upload_id, parts)
    assert refusal(lambda: service.sdk.complete_multipart_upload(key, upload_id, parts)) == (404, "NoSuchUpload")


def test_a_completion_with_a_wrong_tag_is_refused(service: Service) -> None:  # C6
    key, upload_id, parts = begin(service, PART_MIN, 5)
    parts[1].etag = parts[0].etag
    assert refusal(lambda: service.sdk.complete_multipart_upload(key, upload_id, parts)) == (400, "InvalidPart")


def test_a_completion_with_a_part_that_was_never_put_is_refused(service: Service) -> None:  # C6
    key, upload_id, parts = begin(service, PART_MIN)
    parts.append(oss2.models.PartInfo(2, parts[0].etag))
    assert refusal(lambda: service.sdk.complete_multipart_upload(key, upload_id, parts)) == (400, "InvalidPart")


def test_a_completion_with_a_small_part_before_the_last_is_refused(service: Service) -> None:  # C6
    key, upload_id, parts = begin(service, PART_MIN - 1, 5)
    assert refusal(lambda: service.sdk.complete_multipart_upload(key, upload_id, parts)) == (400, "EntityTooSmall")
    with pytest.raises(InvalidParts):
        service.store.complete_upload(Upload(key, upload_id), [])


def test_a_refused_completion_leaves_the_upload_as_it_was(service: Service) -> None:  # C6
    key, upload_id, parts = begin(service, 5)
    tag, parts[0].etag = parts[0].etag, "0" * 32
    refusal(lambda: service.sdk.complete_multipart_upload(key, upload_id, parts))
    parts[0].etag = tag
    service.sdk.complete_multipart_upload(key, upload_id, parts)
    assert service.store.get(key) == bytes([1]) * 5


def test_aborting_twice_is_no_such_upload(service: Service) -> None:  # C9
    key, upload_id, _ = begin(service, 5)
    service.sdk.abort_multipart_upload(key, upload_id)
    assert refusal(lambda: service.sdk.abort_multipart_upload(key, upload_id)) == (404, "NoSuchUpload")
    assert refusal(lambda: service.sdk.upload_part(key, upload_id, 2, b"late")) == (404, "NoSuchUpload")


def test_of_many_puts_that_forbid_overwriting_one_succeeds(service: Service) -> None:  # C11, versioning off
    key = f"{service.prefix}once"

    def put(number: int) -> int:
        headers = {"x-oss-forbid-overwrite": "true"}
        try:
            return int(service.sdk.put_object(key, b"%d" % number, headers=headers).status)
        except oss2.exceptions.ServerError as error:
            return int(error.status) if error.code == "FileAlreadyExists" else 0

    assert sorted(at_once(100, put)) == [200] + [409] * 99


@pytest.mark.parametrize("name", ["a+b", "a%2Fb", "空 格", "a..b", "a&b=c?d#e", "~!@$'()*;:,"])
def test_a_key_of_any_characters_comes_back_as_it_went(service: Service, name: str) -> None:  # C15
    key = f"{service.prefix}{name}"
    service.sdk.put_object(key, name.encode())
    assert service.sdk.get_object(key).read() == name.encode()
    assert [item.key for item in service.store.list(service.prefix)] == [key]
    service.sdk.delete_object(key)
    assert list(service.store.list(service.prefix)) == []


def test_a_key_that_never_was_counts_as_deleted(service: Service) -> None:
    keys = [f"{service.prefix}{name}" for name in ("a", "b")]
    assert sorted(service.sdk.batch_delete_objects(keys).deleted_keys) == keys


def test_metadata_beyond_ascii_never_reaches_oss(service: Service) -> None:  # C14
    with pytest.raises(ValueError):
        service.store.put(f"{service.prefix}a", b"", metadata={"name": "报表"})
    with pytest.raises(NoSuchObject):
        service.store.head(f"{service.prefix}a")


def test_a_missing_object_is_told_from_a_missing_bucket_without_a_body(service: Service) -> None:
    assert refusal(lambda: service.sdk.head_object(f"{service.prefix}a"))[0] == 404
    with pytest.raises(NoSuchObject):
        service.store.head(f"{service.prefix}a")


def test_many_keys_at_once_are_all_stored(service: Service) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: service.store.put(f"{service.prefix}{number:03d}", b"%d" % number), range(100)))
    assert len(list(service.store.list(service.prefix))) == 100


@pytest.mark.live
def test_a_completion_whose_caller_hangs_up_may_still_happen() -> None:  # C10
    """How late the object appears is measured; that it may appear at all is why no attempt's key is used twice."""
    place, key = live_oss_bucket(), f"live/{secrets.token_hex(4)}/upload"
    impatient = place.open(connect_timeout_s=5, read_timeout_s=0.0001, connections_max=1)
    with closing(OssStore(place)) as store, closing(impatient.session.session):
        upload = store.begin_upload(key, metadata={})
        receipt = store.put_part(upload, 1, b"part")
        part = oss2.models.PartInfo(1, receipt.etag.partition(".")[0])
        with suppress(oss2.exceptions.RequestError):
            impatient.complete_multipart_upload(key, upload.upload_id, [part])
        hung_up_at = time.monotonic()
        while not list(store.list(key)) and time.monotonic() < hung_up_at + 30:
            time.sleep(0.05)
        if list(store.list(key)):
            print(f"the object appeared {time.monotonic() - hung_up_at:.2f} s after its caller had hung up")
        else:
            store.complete_upload(upload, [receipt])
        assert store.get(key) == b"part"
        store.delete([key])


# What follows needs faults at given moments, which the real service cannot be asked for.


def test_of_two_puts_of_a_part_the_one_that_ends_last_counts(oss: OssServer) -> None:  # C8
    with opened_oss(oss) as store, ThreadPoolExecutor(1) as pool:
        upload = store.begin_upload("c8", metadata={})
        hold = Hold()
        oss.faults.add(Fault(hold, operation="UploadPart", key="c8"))
        first = pool.submit(store.put_part, upload, 1, b"sent first")
        hold.wait_reached()
        second = store.put_part(upload, 1, b"sent second")
        hold.release()
        receipt = first.result(timeout=30)
        with pytest.raises(InvalidParts):
            store.complete_upload(upload, [second])
        store.complete_upload(upload, [receipt])
        assert store.get("c8") == b"sent first"


def test_a_completion_that_lands_late_is_found_by_its_metadata(oss: OssServer) -> None:  # C10, C12
    with opened_oss(oss) as store:
        upload = store.begin_upload("c10", metadata={"nonce": "mine"})
        receipt = store.put_part(upload, 1, b"part")
        later = DoLater()
        oss.faults.add(Fault(later, operation="CompleteMultipartUpload", key="c10"))
        with pytest.raises(OutcomeUnknown):
            store.complete_upload(upload, [receipt])
        later.release()
        later.wait_done()
        with pytest.raises(NoSuchUpload):
            store.complete_upload(upload, [receipt])
        assert store.head("c10").metadata["nonce"] == "mine"


def test_the_sdk_repeats_nothing_by_itself_when_an_answer_is_lost(oss: OssServer) -> None:  # C12
    with opened_oss(oss) as store:
        oss.requests.clear()
        oss.faults.add(Fault(DropAnswer(), operation="PutObject", key="c12"))
        with pytest.raises(OutcomeUnknown):
            store.put("c12", b"data")
        assert len(oss.requests) == 1
        assert store.get("c12") == b"data", "it had happened"


def test_a_forbidden_overwrite_turns_a_lost_success_into_a_refusal(oss: OssServer) -> None:  # C12
    """Why we never use it: the answer to the repeat cannot be told from somebody else's success."""
    sdk = stand_in_bucket(oss).open(connect_timeout_s=5, read_timeout_s=5, connections_max=1)
    headers = {"x-oss-forbid-overwrite": "true"}
    with closing(sdk.session.session):
        oss.faults.add(Fault(DropAnswer(), operation="PutObject", key="c12b"))
        with pytest.raises(oss2.exceptions.RequestError):
            sdk.put_object("c12b", b"data", headers=headers)
        assert refusal(lambda: sdk.put_object("c12b", b"data", headers=headers)) == (409, "FileAlreadyExists")


def test_being_throttled_says_for_how_long(oss: OssServer) -> None:  # C24
    clock = FakeClock()
    with opened_oss(oss) as store:
        oss.faults.add(Fault(Throttle(delay_ms=2500), operation="PutObject", key="c24"))
        RetryingStore(store, clock=clock, randomness=SeededRandomness()).put("c24", b"")
    assert len(clock.slept) == 1
    assert 2.5 <= clock.slept[0] < 2.6
