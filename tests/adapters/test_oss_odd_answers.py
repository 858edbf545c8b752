"""Answers that OSS should not give, or that something between gives in its place: none is taken for a success."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.domain.secret import Secret
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from tests.contracts.crc64_oracle import crc64_oracle
from tests.support.scripted_server import Answer, Asked, ScriptedServer, in_turn, scripted_server

DATA = b"0123456789"
CRC = {"x-oss-hash-crc64ecma": crc64_oracle(DATA)}
UPLOAD = Upload("a", "0" * 32)
HTML = Answer(200, b"<html><body>Please log in<br></body></html>")


@contextmanager
def store_of(script: Callable[[Asked], Answer]) -> Iterator[tuple[OssStore, ScriptedServer]]:
    credentials = FixedCredentials(Credentials("id", Secret("secret"), Secret("t0ken")))
    with scripted_server(script) as server:
        place = OssBucket(endpoint=server.url, region="cn-hangzhou", bucket="bucket", credentials=credentials)
        with closing(OssStore(place)) as store:
            yield store, server


def answered(*answers: Answer, call: Callable[[OssStore], object]) -> object:
    with store_of(in_turn(*answers)) as (store, _):
        return call(store)


@pytest.mark.parametrize(
    "headers", [{}, {"x-oss-hash-crc64ecma": "1"}, {"x-oss-hash-crc64ecma": "a"}], ids=["none", "another", "no number"]
)
def test_without_the_right_checksum_nothing_is_stored_or_read(headers: dict[str, str]) -> None:
    for call, body in (
        (lambda s: s.put("a", DATA), b""),
        (lambda s: s.put_part(UPLOAD, 1, DATA), b""),
        (lambda s: s.get("a"), DATA),
        (lambda s: list(s.read_range("a", 0, 99)), DATA),
    ):
        with pytest.raises(OutcomeUnknown):
            answered(Answer(200, body, {"etag": '"E"', **headers}), call=call)


def test_a_part_without_a_tag_is_not_put() -> None:
    with pytest.raises(OutcomeUnknown):
        answered(Answer(200, b"", CRC), call=lambda s: s.put_part(UPLOAD, 1, DATA))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, DATA, CRC),
        Answer(206, DATA[2:5], CRC),
        Answer(206, DATA[2:5], {"content-range": "bytes 2-4/*", **CRC}),
        Answer(206, DATA[1:5], {"content-range": "bytes 1-4/10", **CRC}),
        Answer(206, DATA[2:4], {"content-range": "bytes 2-3/10", **CRC}),
        Answer(206, DATA[2:6], {"content-range": "bytes 2-5/10", **CRC}),
        Answer(206, DATA[2:4], {"content-range": "bytes 2-4/10", **CRC}),
        Answer(206, DATA[2:6], {"content-range": "bytes 2-4/10", **CRC}),
    ],
    ids=["everything", "which?", "of what?", "earlier", "shorter", "longer", "less than told", "more than told"],
)
def test_another_range_than_was_asked_for_is_not_taken(answer: Answer) -> None:
    with pytest.raises(OutcomeUnknown):
        answered(answer, call=lambda s: list(s.read_range("a", 2, 5)))


def test_a_whole_object_may_come_for_a_range_that_holds_it() -> None:
    assert answered(Answer(200, DATA, CRC), call=lambda s: list(s.read_range("a", 0, 99))) == [DATA]


def test_a_range_is_asked_for_in_the_way_that_ends_where_the_object_ends() -> None:
    with store_of(in_turn(Answer(200, DATA, CRC))) as (store, server):
        list(store.read_range("a", 0, 99))
    (asked,) = server.asked
    assert (asked.headers["range"], asked.headers["x-oss-range-behavior"]) == ("bytes=0-98", "standard")


def test_a_range_of_nothing_is_not_asked_for() -> None:
    with store_of(in_turn(Answer(500))) as (store, server):
        assert list(store.read_range("a", 5, 5)) == list(store.read_range("a", 5, 4)) == []
    assert server.asked == []


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.begin_upload("a", metadata={}),
        lambda s: s.delete(["a"]),
        lambda s: list(s.list("")),
        lambda s: list(s.list_uploads("")),
    ],
    ids=["begin_upload", "delete", "list", "list_uploads"],
)
@pytest.mark.parametrize("answer", [HTML, Answer(200, b""), Answer(200, b"<Result/>"), Answer(200, b"\xff\xfe")])
def test_a_page_of_something_else_is_no_answer(answer: Answer, call: Callable[[OssStore], object]) -> None:
    with pytest.raises(OutcomeUnknown):
        answered(answer, call=call)


def test_an_upload_without_an_id_was_not_begun() -> None:
    with pytest.raises(OutcomeUnknown):
        answered(Answer(200, b"<R><UploadId/></R>"), call=lambda s: s.begin_upload("a", metadata={}))


def test_a_deletion_is_done_when_oss_names_every_key() -> None:
    def deleted(*keys: str) -> Answer:
        lines = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return Answer(200, f"<DeleteResult><EncodingType>url</EncodingType>{lines}</DeleteResult>".encode())

    answered(deleted("b", "a%2Fb"), call=lambda s: s.delete(["a/b", "b", "b"]))
    for less in (deleted("b"), deleted("a", "b"), deleted()):
        with pytest.raises(OutcomeUnknown, match="of 2 objects are gone"):
            answered(less, call=lambda s: s.delete(["a/b", "b"]))


def test_a_listing_that_turns_in_a_circle_ends() -> None:
    page = b"<R><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></R>"
    with pytest.raises(OutcomeUnknown, match="same page"):
        answered(Answer(200, page), call=lambda s: list(s.list("")))
    markers = b"<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    page = b"<R><IsTruncated>true</IsTruncated>" + markers + b"</R>"
    with pytest.raises(OutcomeUnknown, match="same page"):
        answered(Answer(200, page), call=lambda s: list(s.list_uploads("")))


def test_an_answer_that_sends_us_elsewhere_is_not_followed() -> None:
    with store_of(in_turn(Answer(200, DATA, CRC))) as (_, elsewhere):
        away = Answer(307, b"", {"location": f"{elsewhere.url}/bucket/a"})
        with pytest.raises(OutcomeUnknown):
            answered(away, call=lambda s: s.get("a"))
        assert elsewhere.asked == []


def test_what_is_no_oss_at_all_is_refused() -> None:
    with pytest.raises(StoreRefused, match="status 404"):
        answered(Answer(404, b"not found"), call=lambda s: s.get("a"))


def test_a_completion_is_taken_at_its_word_when_it_brings_no_checksum() -> None:
    answered(Answer(200, b"<R/>"), call=lambda s: s.complete_upload(UPLOAD, [PartReceipt(1, "E.0", 0)]))
