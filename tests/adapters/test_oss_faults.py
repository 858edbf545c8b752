"""What OSS's failures come to, each at each call: repeated until right, or said to be unknown; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from infra.emulators.oss import (
    Action,
    CorruptAnswer,
    CorruptRequest,
    CutAnswer,
    CutRequest,
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
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.retrying import RetryingStore
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import NoSuchObject, NoSuchUpload, OutcomeUnknown, StoreError
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.oss_stores import opened_oss, stand_in_bucket

BUCKET = "sluice-in"
DATA = bytes(range(256)) * 8192
"""Two blocks of a range."""
READ_TIMEOUT_S = 1.0
"""Where a call is to run into it; elsewhere it is as long as usual, for a busy machine."""


class Prepared(NamedTuple):
    """A store behind the stand-in, an object ``a`` in it and an upload with one part."""

    oss: OssServer
    bare: OssStore
    retrying: RetryingStore
    clock: FakeClock
    upload: Upload
    receipt: PartReceipt


@pytest.fixture(scope="module")
def oss() -> Iterator[OssServer]:
    with serving_oss() as oss:
        yield oss


@pytest.fixture
def prepared(oss: OssServer, request: pytest.FixtureRequest) -> Iterator[Prepared]:
    oss.faults.clear()
    read_timeout_s = READ_TIMEOUT_S if "slow" in request.node.name else 20
    with closing(OssStore(stand_in_bucket(oss), read_timeout_s=read_timeout_s)) as bare:
        bare.put("a", DATA, metadata={"m": "1"})
        upload = bare.begin_upload("b", metadata={"n": "2"})
        receipt = bare.put_part(upload, 1, b"part")
        oss.requests.clear()
        clock = FakeClock()
        retrying = RetryingStore(bare, clock=clock, randomness=SeededRandomness())
        yield Prepared(oss, bare, retrying, clock, upload, receipt)
        oss.faults.clear()
        for open_upload in list(bare.list_uploads("")):
            bare.abort_upload(open_upload)
        bare.delete([item.key for item in bare.list("")])


class Call(NamedTuple):
    """One way to use the store."""

    operation: str
    make: Callable[[ObjectStore, Prepared], object]


REPEATED = {
    "put": Call("PutObject", lambda s, _: s.put("c", DATA, metadata={"m": "2"})),
    "get": Call("GetObject", lambda s, _: s.get("a")),
    "read_range": Call("GetObject", lambda s, _: b"".join(s.read_range("a", 5, len(DATA)))),
    "head": Call("HeadObject", lambda s, _: s.head("a")),
    "delete": Call("DeleteMultipleObjects", lambda s, _: s.delete(["a", "c"])),
    "begin_upload": Call("InitiateMultipartUpload", lambda s, _: s.begin_upload("d", metadata={"m": "1"}).key),
    "put_part": Call("UploadPart", lambda s, p: s.put_part(p.upload, 2, DATA)),
    "abort_upload": Call("AbortMultipartUpload", lambda s, p: s.abort_upload(p.upload)),
}
MADE_ONCE = {
    "complete_upload": Call("CompleteMultipartUpload", lambda s, p: s.complete_upload(p.upload, [p.receipt])),
    "list": Call("ListObjectsV2", lambda s, _: [item.key for item in s.list("")]),
    "list_uploads": Call("ListMultipartUploads", lambda s, _: [item.key for item in s.list_uploads("")]),
}
CALLS = REPEATED | MADE_ONCE

ANYWHERE: dict[str, Callable[[], Action]] = {
    "drop before": DropBefore,
    "drop after": DropAnswer,
    "throttle": lambda: Throttle(delay_ms=700),
    "busy": lambda: Refuse(503, "ServiceUnavailable"),
    "broken": lambda: Refuse(500, "InternalError"),
    "too many": lambda: Refuse(429, "TooManyRequests"),
    "slow before": Hold,
    "slow after": lambda: Hold(before=False),
}
ON_REQUESTS: dict[str, Callable[[], Action]] = {
    "cut request": lambda: CutRequest(100),
    "corrupt request": lambda: CorruptRequest(20),
}
ON_ANSWERS: dict[str, Callable[[], Action]] = {
    "cut answer": lambda: CutAnswer(20),
    "corrupt answer": lambda: CorruptAnswer(0),
}

WITH_REQUEST_BODY = ("put", "delete", "put_part")
WITH_ANSWER_BODY = ("get", "delete", "begin_upload", "list", "list_uploads")

CASES = [
    *((name, fault) for name in CALLS for fault in ANYWHERE),
    *((name, fault) for name in WITH_REQUEST_BODY for fault in ON_REQUESTS),
    *((name, fault) for name in WITH_ANSWER_BODY for fault in ON_ANSWERS),
    ("read_range", "cut answer"),
]
SLOW = (ANYWHERE["slow before"], ANYWHERE["slow after"])
FAULTS = ANYWHERE | ON_REQUESTS | ON_ANSWERS


@pytest.mark.parametrize(("name", "fault_name"), [case for case in CASES if case[0] in REPEATED])
def test_a_call_that_may_be_repeated_succeeds_after_a_fault(prepared: Prepared, name: str, fault_name: str) -> None:
    call = REPEATED[name]
    fault = prepared.oss.faults.add(Fault(FAULTS[fault_name](), operation=call.operation))
    answer = call.make(prepared.retrying, prepared)
    let_go(fault.action)
    assert fault.met == 1
    operations = [request.operation for request in prepared.oss.requests]
    assert operations[:2] == [call.operation] * 2
    assert len(operations) == 2 or isinstance(fault.action, Hold), "no hidden request"
    assert_done(prepared, name, answer)


def let_go(action: Action) -> None:
    """What was slow happens now, after its caller has gone on without it."""
    if isinstance(action, Hold):
        action.release()
        action.wait_done()


@pytest.mark.parametrize(
    ("name", "fault_name"), [case for case in CASES if case[0] in MADE_ONCE or FAULTS[case[1]] not in SLOW]
)
def test_a_fault_is_an_unknown_outcome_and_is_not_repeated_by_the_store_itself(
    prepared: Prepared, name: str, fault_name: str
) -> None:
    call = CALLS[name]
    fault = prepared.oss.faults.add(Fault(FAULTS[fault_name](), operation=call.operation))
    with pytest.raises(OutcomeUnknown) as caught:
        call.make(prepared.bare, prepared)
    let_go(fault.action)
    assert [request.operation for request in prepared.oss.requests] == [call.operation]
    assert prepared.oss.access_key_secret not in f"{caught.value!r}"
    assert caught.value.retry_after_s == (0.7 if fault_name == "throttle" else 0)


@pytest.mark.parametrize("name", MADE_ONCE)
def test_a_call_that_is_not_repeated_says_that_its_outcome_is_unknown(prepared: Prepared, name: str) -> None:
    prepared.oss.faults.add(Fault(DropAnswer(), operation=CALLS[name].operation))
    with pytest.raises(OutcomeUnknown):
        CALLS[name].make(prepared.retrying, prepared)
    assert [request.operation for request in prepared.oss.requests] == [CALLS[name].operation]


@pytest.mark.parametrize("name", CALLS)
def test_without_a_fault_each_call_is_one_request(prepared: Prepared, name: str) -> None:
    CALLS[name].make(prepared.retrying, prepared)
    assert [request.operation for request in prepared.oss.requests] == [CALLS[name].operation]
    assert prepared.clock.slept == []


def assert_done(prepared: Prepared, name: str, answer: object) -> None:
    """The world is as if nothing had gone wrong."""
    store = prepared.bare
    match name:
        case "put":
            assert (store.get("c"), dict(store.head("c").metadata)) == (DATA, {"m": "2"})
        case "get":
            assert answer == DATA
        case "read_range":
            assert answer == DATA[5:]
        case "head":
            assert answer == store.head("a")
        case "delete":
            assert list(store.list("")) == []
        case "begin_upload":
            assert answer == "d"
            assert "d" in {upload.key for upload in store.list_uploads("")}
        case "put_part":
            assert answer == store.put_part(prepared.upload, 2, DATA)
        case "abort_upload":
            assert list(store.list_uploads("")) == []
        case _:
            raise AssertionError(name)


def test_a_completion_whose_answer_is_lost_can_be_told_from_a_failure(prepared: Prepared) -> None:
    prepared.oss.faults.add(Fault(DropAnswer(), operation="CompleteMultipartUpload"))
    with pytest.raises(OutcomeUnknown):
        prepared.retrying.complete_upload(prepared.upload, [prepared.receipt])
    with pytest.raises(NoSuchUpload):
        prepared.retrying.complete_upload(prepared.upload, [prepared.receipt])
    assert dict(prepared.retrying.head("b").metadata) == {"n": "2"}


def test_a_completion_may_happen_long_after_its_caller_was_told_nothing(prepared: Prepared) -> None:  # C10
    later = DoLater()
    prepared.oss.faults.add(Fault(later, operation="CompleteMultipartUpload"))
    with pytest.raises(OutcomeUnknown):
        prepared.retrying.complete_upload(prepared.upload, [prepared.receipt])
    with pytest.raises(NoSuchObject):
        prepared.bare.head("b")
    later.release()
    later.wait_done()
    assert prepared.bare.get("b") == b"part"
    with pytest.raises(NoSuchUpload):
        prepared.retrying.complete_upload(prepared.upload, [prepared.receipt])


def test_a_throttled_call_waits_as_long_as_oss_asks(prepared: Prepared) -> None:  # C24
    prepared.oss.faults.add(Fault(Throttle(delay_ms=1500), operation="GetObject", times=2))
    assert prepared.retrying.get("a") == DATA
    assert [1.5 <= wait_s < 1.8 for wait_s in prepared.clock.slept] == [True, True]


def test_a_damaged_block_that_is_handed_out_already_is_not_made_good_by_reading_on(prepared: Prepared) -> None:
    prepared.oss.faults.add(Fault(CorruptAnswer(100), operation="GetObject"))
    blocks = prepared.retrying.read_range("a", 0, len(DATA))
    assert len(next(blocks)) == 1 << 20
    with pytest.raises(StoreError) as caught:
        next(blocks)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert len(prepared.oss.requests) == 1


def test_a_damaged_object_of_one_block_is_read_again(prepared: Prepared) -> None:
    prepared.bare.put("a", b"0123456789")
    prepared.oss.faults.add(Fault(CorruptAnswer(5), operation="GetObject"))
    assert b"".join(prepared.retrying.read_range("a", 0, 100)) == b"0123456789"


@pytest.mark.parametrize("action", [CutAnswer(0), CutAnswer(1), CutAnswer(1_500_000), DropAnswer()])
def test_a_range_that_breaks_off_goes_on_where_it_broke(prepared: Prepared, action: Action) -> None:
    prepared.oss.faults.add(Fault(action, operation="GetObject"))
    assert b"".join(prepared.retrying.read_range("a", 1, len(DATA) - 1)) == DATA[1:-1]
    assert len(prepared.oss.requests) == 2


def test_an_object_that_is_damaged_every_time_is_never_handed_out(prepared: Prepared) -> None:
    prepared.oss.faults.add(Fault(CorruptAnswer(1 << 20), operation="GetObject", times=None))
    with pytest.raises(OutcomeUnknown):
        prepared.retrying.get("a")


def test_a_part_damaged_on_its_way_is_replaced_by_the_repeat(prepared: Prepared) -> None:
    prepared.oss.faults.add(Fault(CorruptRequest(3), operation="UploadPart"))
    receipt = prepared.retrying.put_part(prepared.upload, 1, b"another part")
    prepared.retrying.complete_upload(prepared.upload, [receipt])
    assert prepared.bare.get("b") == b"another part"


def test_nobody_listens_on_the_port(oss: OssServer) -> None:
    with serving_oss() as gone:
        pass
    with opened_oss(gone) as store, pytest.raises(OutcomeUnknown):
        store.put("a", b"")
