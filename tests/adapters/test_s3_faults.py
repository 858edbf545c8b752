"""What S3's failures come to, each at each call: repeated until right, or said to be unknown; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from infra.emulators.faults import CutAnswer, DropAnswer, DropBefore, Hold
from sluice.adapters.retrying import RetryingStore
from sluice.adapters.s3.bucket import STREAM_BYTES, S3Place
from sluice.adapters.s3.store import S3Store
from sluice.adapters.system_clock import SystemRandomness
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.retry import RetryRule
from sluice.ports.store_errors import InvalidParts, NoSuchObject, NoSuchUpload, OutcomeUnknown, StoreError
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.flaky_proxy import TROUBLES, flaky_proxy
from tests.support.s3_server import (
    REGION,
    SECRET_ACCESS_KEY,
    Action,
    CorruptAnswer,
    CorruptRequest,
    Refuse,
    S3Fault,
    S3Server,
    serving_s3,
)
from tests.support.s3_stores import CREDENTIALS, environment, s3_store

DATA = bytes(range(256)) * 8192
"""Two blocks of a range."""
READ_TIMEOUT_S = 1.0
"""Where a call is to run into it; elsewhere it is as long as usual, for a busy machine."""


class Prepared(NamedTuple):
    """A store over the server, an object ``a`` in it and an upload with one part."""

    s3: S3Server
    bucket: str
    bare: S3Store
    retrying: RetryingStore
    upload: Upload
    receipt: PartReceipt

    def asked(self) -> list[str]:
        """The methods of the requests since the preparation."""
        return [request.method for request in self.s3.requests]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture
def prepared(s3: S3Server, request: pytest.FixtureRequest) -> Iterator[Prepared]:
    s3.faults.clear()
    bucket = s3.add_bucket()
    calm = bare = s3_store(s3, bucket)
    calm.put("a", DATA, metadata={"m": "1"})
    upload = calm.begin_upload("b", metadata={"n": "2"})
    receipt = calm.put_part(upload, 1, b"part")
    s3.requests.clear()
    if "slow" in request.node.name:
        bare = s3_store(s3, bucket, read_timeout_s=READ_TIMEOUT_S)
    yield Prepared(
        s3, bucket, bare, RetryingStore(bare, clock=FakeClock(), randomness=SeededRandomness()), upload, receipt
    )
    s3.faults.clear()


class Call(NamedTuple):
    """One way to use the store, and the requests that it makes."""

    methods: list[str]
    make: Callable[[ObjectStore, Prepared], object]


REPEATED = {
    "put": Call(["PUT"], lambda s, _: s.put("c", DATA, metadata={"m": "2"})),
    "get": Call(["GET"], lambda s, _: s.get("a")),
    "read_range": Call(["GET"], lambda s, _: b"".join(s.read_range("a", 5, len(DATA)))),
    "head": Call(["HEAD"], lambda s, _: s.head("a")),
    "delete": Call(["POST"], lambda s, _: s.delete(["a", "c"])),
    "begin_upload": Call(["PUT"], lambda s, _: s.begin_upload("d", metadata={"m": "1"}).key),
    "put_part": Call(["PUT", "HEAD"], lambda s, p: s.put_part(p.upload, 2, DATA)),
    "abort_upload": Call(["POST", "GET", "POST"], lambda s, p: s.abort_upload(p.upload)),
}
MADE_ONCE = {
    "list": Call(["GET"], lambda s, _: [item.key for item in s.list("")]),
    "list_uploads": Call(["GET"], lambda s, _: [item.key for item in s.list_uploads("")]),
}
CALLS = REPEATED | MADE_ONCE

FAULTS: dict[str, Callable[[], Action]] = {
    "drop before": DropBefore,
    "drop after": DropAnswer,
    "busy": lambda: Refuse(503, "SlowDown"),
    "broken": lambda: Refuse(500, "InternalError"),
    "too many": lambda: Refuse(429, "TooManyRequests"),
    "another is at it": lambda: Refuse(409, "OperationAborted"),
    "slow before": Hold,
    "slow after": lambda: Hold(before=False),
    "corrupt request": lambda: CorruptRequest(20),
    "cut answer": lambda: CutAnswer(20),
    "corrupt answer": lambda: CorruptAnswer(0),
}
ONLY_FOR = {
    "corrupt request": ("put", "begin_upload", "put_part"),
    "cut answer": ("get", "read_range", "delete", "list", "list_uploads"),
    "corrupt answer": ("get",),
}
CASES = [(name, fault) for name in CALLS for fault in FAULTS if name in ONLY_FOR.get(fault, (name,))]


def let_go(action: Action) -> None:
    """What was slow happens now, after its caller has gone on without it."""
    if isinstance(action, Hold):
        action.release()
        action.wait_done()


@pytest.mark.parametrize(("name", "fault_name"), CASES)
def test_a_fault_is_an_unknown_outcome_and_is_not_repeated_by_the_store_itself(
    prepared: Prepared, name: str, fault_name: str
) -> None:
    fault = prepared.s3.faults.add(S3Fault(FAULTS[fault_name](), path=f"{prepared.bucket}*"))
    with pytest.raises(OutcomeUnknown) as caught:
        CALLS[name].make(prepared.bare, prepared)
    let_go(fault.action)
    assert prepared.asked() == CALLS[name].methods[:1]
    assert SECRET_ACCESS_KEY not in f"{caught.value!r}"


@pytest.mark.parametrize(("name", "fault_name"), [case for case in CASES if case[0] in REPEATED])
def test_a_call_that_may_be_repeated_succeeds_after_a_fault(prepared: Prepared, name: str, fault_name: str) -> None:
    fault = prepared.s3.faults.add(S3Fault(FAULTS[fault_name](), path=f"{prepared.bucket}*"))
    answer = REPEATED[name].make(prepared.retrying, prepared)
    let_go(fault.action)
    assert fault.met == 1
    assert prepared.asked()[:2] == [REPEATED[name].methods[0]] * 2
    assert_done(s3_store(prepared.s3, prepared.bucket), prepared, name, answer)


def assert_done(store: S3Store, prepared: Prepared, name: str, answer: object) -> None:
    """The world is as if nothing had gone wrong."""
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


@pytest.mark.parametrize("name", CALLS)
def test_without_a_fault_each_call_is_so_many_requests(prepared: Prepared, name: str) -> None:
    CALLS[name].make(prepared.retrying, prepared)
    assert prepared.asked() == CALLS[name].methods


# A completion makes many requests and repeats them itself.

PARTS = [bytes([number]) * 1_500_000 for number in range(5)]
"""More than one part of S3's own."""
STEPS = {
    "the metadata": ("GET", "*/begin"),
    "the claim": ("PUT", "*/complete"),
    "a part read back": ("GET", "*/00003"),
    "the first request of the object": ("POST", "*?uploads=*"),
    "a part of the object": ("PUT", "*partNumber=2*"),
    "the object": ("POST", "*b?uploadId=*"),
}


def put_parts(store: ObjectStore) -> tuple[Upload, list[PartReceipt]]:
    upload = store.begin_upload("b", metadata={"nonce": "mine"})
    return upload, [store.put_part(upload, number, data) for number, data in enumerate(PARTS, start=1)]


@pytest.mark.parametrize("step", [step for step in STEPS if step != "the metadata"])
@pytest.mark.parametrize("fault_name", ["drop before", "drop after", "busy", "cut answer"])
def test_a_completion_repairs_what_goes_wrong_on_its_way(prepared: Prepared, step: str, fault_name: str) -> None:
    upload, receipts = put_parts(prepared.bare)
    method, path = STEPS[step]
    fault = prepared.s3.faults.add(S3Fault(FAULTS[fault_name](), method=method, path=path))
    if (step, fault_name) in {("the first request of the object", "cut answer"), ("the object", "cut answer")}:
        with pytest.raises(OutcomeUnknown):  # obstore does not repeat what broke off in an answer's body
            prepared.bare.complete_upload(upload, receipts)
    prepared.bare.complete_upload(upload, receipts)
    assert fault.met == 1
    assert prepared.bare.get("b") == b"".join(PARTS)
    assert dict(prepared.bare.head("b").metadata) == {"nonce": "mine"}
    assert [upload.upload_id for upload in prepared.bare.list_uploads("")] == [prepared.upload.upload_id]


@pytest.mark.parametrize("step", STEPS)
def test_a_completion_that_fails_for_good_leaves_nothing_and_may_be_tried_again(prepared: Prepared, step: str) -> None:
    store = s3_store(prepared.s3, prepared.bucket, repeats=1)
    upload, receipts = put_parts(store)
    method, path = STEPS[step]
    fault = prepared.s3.faults.add(S3Fault(Refuse(503, "SlowDown"), method=method, path=path, times=None))
    with pytest.raises(OutcomeUnknown):
        store.complete_upload(upload, receipts)
    assert fault.met == (1 if step == "the metadata" else 2)
    prepared.s3.faults.clear()
    with pytest.raises(NoSuchObject):
        store.head("b")
    if step == "a part of the object":
        assert prepared.s3.uploads(prepared.bucket) == [], "obstore aborts its own"
    store.complete_upload(upload, receipts)
    assert store.get("b") == b"".join(PARTS)


def test_a_claim_whose_answer_is_lost_for_good_ends_the_upload(prepared: Prepared) -> None:
    """It may be there: whoever asks is told that the upload is over, finds no object of its own, and begins anew."""
    store = s3_store(prepared.s3, prepared.bucket, repeats=0)
    prepared.s3.faults.add(S3Fault(DropAnswer(), method="PUT", path="*/complete"))
    with pytest.raises(OutcomeUnknown):
        store.complete_upload(prepared.upload, [prepared.receipt])
    with pytest.raises(NoSuchUpload):
        store.complete_upload(prepared.upload, [prepared.receipt])
    with pytest.raises(NoSuchObject):
        store.head("b")
    assert len(list(store.list_uploads("b"))) == 1, "and it is still there to be aborted"


def test_a_part_that_came_damaged_never_becomes_part_of_the_object(prepared: Prepared) -> None:
    store = s3_store(prepared.s3, prepared.bucket, repeats=0)
    upload, receipts = put_parts(store)
    prepared.s3.faults.add(S3Fault(CorruptAnswer(7), method="GET", path="*/00004"))
    with pytest.raises(OutcomeUnknown):
        store.complete_upload(upload, receipts)
    with pytest.raises(NoSuchObject):
        store.head("b")
    store.complete_upload(upload, receipts)
    assert store.get("b") == b"".join(PARTS)


def test_bytes_that_change_on_their_way_into_the_object_are_refused(prepared: Prepared) -> None:
    """S3 compares each body with the SHA-256 in its signature."""
    store = s3_store(prepared.s3, prepared.bucket, repeats=0)
    upload, receipts = put_parts(store)
    prepared.s3.faults.add(S3Fault(CorruptRequest(STREAM_BYTES // 2), method="PUT", path="*partNumber=1*"))
    with pytest.raises(OutcomeUnknown, match="XAmzContentSHA256Mismatch"):
        store.complete_upload(upload, receipts)
    with pytest.raises(NoSuchObject):
        store.head("b")


def test_an_upload_that_is_aborted_while_it_is_completed_is_over(prepared: Prepared) -> None:
    upload, receipts = put_parts(prepared.bare)
    hold = Hold()
    prepared.s3.faults.add(S3Fault(hold, method="PUT", path="*/complete"))

    def abort_meanwhile() -> None:
        hold.wait_reached()
        s3_store(prepared.s3, prepared.bucket).abort_upload(upload)
        hold.release()

    with ThreadPoolExecutor(1) as pool:
        aborting = pool.submit(abort_meanwhile)
        with pytest.raises(NoSuchUpload):
            prepared.bare.complete_upload(upload, receipts)
        aborting.result()
    with pytest.raises(NoSuchObject):
        prepared.bare.head("b")


def test_a_part_that_is_put_while_its_upload_ends_leaves_nothing(prepared: Prepared) -> None:
    hold = Hold()
    prepared.s3.faults.add(S3Fault(hold, method="PUT", path="*/00002"))
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(prepared.bare.put_part, prepared.upload, 2, b"late")
        hold.wait_reached()
        prepared.bare.abort_upload(prepared.upload)
        hold.release()
        with pytest.raises(NoSuchUpload):
            late.result(timeout=30)
    assert list(prepared.bare.list_uploads("")) == []


def test_a_part_without_its_upload_is_listed_and_can_be_aborted(prepared: Prepared) -> None:
    """A process that dies between its two requests leaves one."""
    prepared.s3.faults.add(S3Fault(Refuse(503), method="HEAD"))
    prepared.bare.abort_upload(prepared.upload)
    with pytest.raises(OutcomeUnknown):
        prepared.bare.put_part(prepared.upload, 2, b"late")
    (left,) = prepared.bare.list_uploads("b")
    assert (left.key, left.upload_id) == (prepared.upload.key, prepared.upload.upload_id)
    prepared.bare.abort_upload(left)
    assert list(prepared.bare.list_uploads("")) == []


def test_receipts_of_another_upload_are_refused(prepared: Prepared) -> None:
    other = prepared.bare.begin_upload("b", metadata={})
    receipt = prepared.bare.put_part(other, 1, b"other")
    with pytest.raises(InvalidParts):
        prepared.bare.complete_upload(prepared.upload, [receipt])


# Reading.


def test_a_damaged_block_that_is_handed_out_already_is_not_made_good_by_reading_on(prepared: Prepared) -> None:
    prepared.s3.faults.add(S3Fault(CorruptAnswer(100), method="GET"))
    blocks = prepared.retrying.read_range("a", 0, len(DATA))
    assert len(next(blocks)) == 1 << 20
    with pytest.raises(StoreError) as caught:
        list(blocks)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert prepared.asked() == ["GET"]


def test_a_damaged_object_of_one_block_is_read_again(prepared: Prepared) -> None:
    prepared.bare.put("a", b"0123456789")
    prepared.s3.faults.add(S3Fault(CorruptAnswer(5), method="GET"))
    assert b"".join(prepared.retrying.read_range("a", 0, 100)) == b"0123456789"


@pytest.mark.parametrize("action", [CutAnswer(0), CutAnswer(1), CutAnswer(1_500_000), DropAnswer()])
def test_a_range_that_breaks_off_goes_on_where_it_broke(prepared: Prepared, action: Action) -> None:
    prepared.s3.faults.add(S3Fault(action, method="GET"))
    assert b"".join(prepared.retrying.read_range("a", 1, len(DATA) - 1)) == DATA[1:-1]
    assert prepared.asked() == ["GET", "GET"]


def test_an_object_that_is_damaged_every_time_is_never_handed_out(prepared: Prepared) -> None:
    prepared.s3.faults.add(S3Fault(CorruptAnswer(5), method="GET", times=None))
    with pytest.raises(OutcomeUnknown):
        prepared.retrying.get("a")


def test_everything_works_through_a_network_that_fails_every_other_time(s3: S3Server) -> None:
    bucket = s3.add_bucket()
    with flaky_proxy(urlsplit(s3.url).port or 0) as proxy, environment(CREDENTIALS):
        place = S3Place(url=f"s3://{bucket}", region=REGION, endpoint=proxy.url)
        bare = S3Store(place, randomness=SystemRandomness(), repeats=9)
        store = RetryingStore(bare, clock=FakeClock(), randomness=SeededRandomness(), rule=RetryRule(tries=9))
        store.put("a", DATA)
        assert store.get("a") == DATA
        assert b"".join(store.read_range("a", 1, 1_500_000)) == DATA[1:1_500_000]
        upload, receipts = put_parts(store)
        for _ in range(5):
            try:
                store.complete_upload(upload, receipts)
            except OutcomeUnknown:
                continue
            except NoSuchUpload:
                pass
            break
        assert store.get("b") == b"".join(PARTS)
        store.delete(["a"])
        with pytest.raises(NoSuchObject):
            store.head("a")
        assert set(proxy.met) == {*TROUBLES, ""}
