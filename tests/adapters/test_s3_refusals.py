"""What happens when S3 does not let us in, when something else answers, and what links bear."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sluice.adapters.s3.bucket import S3Bucket, S3Place
from sluice.adapters.s3.errors import ADVICE, MEANINGS, STATUS_MEANINGS, AlreadyThere, meaning_of
from sluice.adapters.s3.store import S3Links, S3Store
from sluice.adapters.system_clock import SystemRandomness
from sluice.api.error_status import to_sluice_error
from sluice.app.backends import open_ports
from sluice.app.settings.validation import SettingsError, settings_from
from sluice.domain.errors import ErrorCode
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import NoSuchObject, OutcomeUnknown, StoreError, StoreRefused
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal
from tests.support.s3_server import REGION, SECRET_ACCESS_KEY, Refuse, S3Fault, S3Server, serving_s3
from tests.support.s3_stores import CREDENTIALS, environment, s3_place, s3_store
from tests.support.scripted_server import Answer, Asked, scripted_server

UPLOAD = Upload("a", "0" * 32)
DATED = {"etag": '"E"', "last-modified": "Sun, 29 Nov 2026 18:33:04 GMT"}

EVERY_CALL: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda s: s.put("a", b""),
    "get": lambda s: s.get("a"),
    "head": lambda s: s.head("a"),
    "read_range": lambda s: next(s.read_range("a", 0, 1)),
    "delete": lambda s: s.delete(["a"]),
    "list": lambda s: next(s.list("")),
    "list_uploads": lambda s: next(s.list_uploads("")),
    "begin_upload": lambda s: s.begin_upload("a", metadata={}),
    "put_part": lambda s: s.put_part(UPLOAD, 1, b""),
    "complete_upload": lambda s: s.complete_upload(UPLOAD, [PartReceipt(1, "0" * 16, 0)]),
    "abort_upload": lambda s: s.abort_upload(UPLOAD),
}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture(autouse=True)
def fresh(s3: S3Server) -> Iterator[None]:
    yield
    s3.offset_s = 0
    s3.faults.clear()
    s3.requests.clear()


def refused(store: ObjectStore, name: str) -> StoreRefused:
    with pytest.raises(StoreRefused) as caught:
        EVERY_CALL[name](store)
    assert to_sluice_error(caught.value).code is ErrorCode.STORE_UNAVAILABLE, "a caller learns no more"
    assert SECRET_ACCESS_KEY not in f"{caught.value!r}"
    return caught.value


@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_missing_bucket_is_refused_by_each_call(s3: S3Server, name: str) -> None:
    error = refused(s3_store(s3, "no-such-bucket"), name)
    assert error.code == "NoSuchBucket"
    assert "no such bucket at this endpoint" in str(error)


@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_wrong_secret_is_refused_by_each_call_and_not_asked_for_again(s3: S3Server, name: str) -> None:
    with environment({**CREDENTIALS, "AWS_SECRET_ACCESS_KEY": "wrong"}):
        store = S3Store(s3_place(s3), randomness=SystemRandomness())
    error = refused(store, name)
    assert "secret is wrong" in str(error) or name == "head", "an answer to HEAD names no code"
    assert error.code in ("SignatureDoesNotMatch", "status 403")
    assert len(s3.requests) == 1


def test_an_unknown_key_is_refused(s3: S3Server) -> None:
    with environment({**CREDENTIALS, "AWS_ACCESS_KEY_ID": "somebody"}):
        store = S3Store(s3_place(s3), randomness=SystemRandomness())
    assert refused(store, "put").code == "InvalidAccessKeyId"


@pytest.mark.parametrize("offset_s", [-1000, 1000])
def test_a_clock_that_is_wrong_is_refused(s3: S3Server, offset_s: float) -> None:
    s3.offset_s = offset_s
    error = refused(s3_store(s3), "put")
    assert error.code == "RequestTimeTooSkewed"
    assert "clock" in str(error)


def test_without_credentials_an_operator_is_told_so() -> None:
    """As obstore says it on a machine that has no role."""
    text = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1ms - HTTP error: error"
    error = meaning_of("PutObject", text)
    assert isinstance(error, StoreRefused)
    assert error.code == "NoCredentials"
    assert "environment" in str(error)


def test_an_archived_object_is_refused_with_advice(s3: S3Server) -> None:
    s3.faults.add(S3Fault(Refuse(403, "InvalidObjectState")))
    assert "restored first" in str(refused(s3_store(s3), "get"))


@pytest.mark.parametrize("code", MEANINGS)
def test_each_code_that_has_a_meaning_has_it_whatever_the_status(code: str) -> None:
    text = f"Generic S3 error: Server returned non-2xx status code: 418 Teapot: <Error><Code>{code}</Code></Error>"
    assert type(meaning_of("PutObject", text)) is MEANINGS[code]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *STATUS_MEANINGS.items(),
        (301, StoreRefused),
        (400, StoreRefused),
        (401, StoreRefused),
        (403, StoreRefused),
        (405, StoreRefused),
        (500, OutcomeUnknown),
        (501, StoreRefused),
        (502, OutcomeUnknown),
        (503, OutcomeUnknown),
    ],
)
def test_each_status_has_its_meaning_where_the_code_says_nothing(status: int, kind: type[StoreError]) -> None:
    for body in ("", "<html>no</html>", "<Error><Code>Unheard</Code></Error>"):
        text = (
            f"Generic S3 error: Server returned non-2xx status code: {status} Some Reason: {body}\n\nDebug source: 999"
        )
        assert type(meaning_of("PutObject", text)) is kind


@pytest.mark.parametrize("code", ADVICE)
def test_advice_goes_with_its_code(code: str) -> None:
    error = meaning_of("DeleteObjects", f"Generic S3 error: DeleteObjects request failed for key a: no (code: {code})")
    if type(error) is StoreRefused:
        assert ADVICE[code] in str(error)


def test_nothing_of_an_answer_but_its_code_and_its_id_goes_into_a_message() -> None:
    text = (
        "status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>s3cret</Message><RequestId>R1</RequestId>"
    )
    error = meaning_of("GetObject", text)
    assert "s3cret" not in str(error)
    assert "R1" in str(error)


@pytest.mark.parametrize("url", ["", "ftp://a/b", "bucket", "s3://"])
def test_a_place_that_cannot_be_is_refused_when_it_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="no bucket can be"):
        S3Place(url=url)


@pytest.mark.parametrize("url", ["file:///etc", "memory://", "https://bucket.s3.amazonaws.com", "s3:/a", "s3://a b"])
def test_the_settings_take_urls_of_three_kinds_only(url: str) -> None:
    with pytest.raises(SettingsError, match="SLUICE_S3_URL"):
        settings_from({"SLUICE_STORAGE_BACKEND": "s3", "SLUICE_S3_URL": url}, None)


def test_without_the_extra_the_settings_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "sluice.adapters.s3.bucket", "sluice.adapters.s3.store"):
        monkeypatch.setitem(sys.modules, name, None)
    settings = settings_from(
        {"SLUICE_STORAGE_BACKEND": "s3", "SLUICE_S3_URL": "s3://a", "SLUICE_STORAGE_DATA_DIRECTORY": str(tmp_path)},
        None,
    )
    with pytest.raises(SettingsError, match=r"sluice\[s3\]"), open_ports(settings, RecordedJournal()):
        raise AssertionError


def test_results_may_have_a_bucket_of_their_own(s3: S3Server, tmp_path: Path) -> None:
    buckets = [s3.add_bucket() for _ in range(2)]
    env = {
        "SLUICE_STORAGE_BACKEND": "s3",
        "SLUICE_S3_URL": f"s3://{buckets[0]}",
        "SLUICE_S3_RESULT_URL": f"s3://{buckets[1]}/results",
        "SLUICE_S3_ENDPOINT": s3.url,
        "SLUICE_S3_DOWNLOAD_ENDPOINT": "https://files.example.com",
        "SLUICE_STORAGE_DATA_DIRECTORY": str(tmp_path),
    }
    with environment(CREDENTIALS), open_ports(settings_from(env, None), RecordedJournal()) as ports:
        for key in ("in/a", "out/a"):
            ports.objects.put(key, b"")
        link = ports.links.mint_link("out/a", filename="a.csv", expires_at=ports.clock.now() + 60)
    puts = [request.path for request in s3.requests if request.method == "PUT"]
    owners = [f"{buckets[0]}/in/owner", f"{buckets[1]}/results/owner"]
    assert puts == [*owners, f"{buckets[0]}/in/a", f"{buckets[1]}/results/out/a"]
    assert link.startswith(f"https://files.example.com/{buckets[1]}/results/out/a?")


@pytest.mark.parametrize(
    ("asked_s", "signed_s"),
    [(0.2, 1), (60, 60), (60.9, 60), (7 * 86_400, 7 * 86_400), (30 * 86_400, 7 * 86_400)],
)
def test_a_link_is_signed_for_whole_seconds_and_for_no_longer_than_s3_takes(
    s3: S3Server, asked_s: float, signed_s: int
) -> None:
    clock = FakeClock()
    with environment(CREDENTIALS):
        links = S3Links(s3_place(s3), clock=clock)
    url = links.mint_link("a", filename="a.csv", expires_at=clock.now() + asked_s)
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [str(signed_s)]
    assert s3.requests == [], "minting asks nothing"


# What something between may answer.


def answered(*answers: Answer, call: Callable[[S3Store], object]) -> object:
    left = list(answers)

    def script(asked: Asked) -> Answer:
        del asked
        return left.pop(0) if len(left) > 1 else left[0]

    with scripted_server(script) as server, environment(CREDENTIALS):
        place = S3Place(url="s3://bucket", region=REGION, endpoint=server.url)
        return call(S3Store(place, randomness=SystemRandomness(), repeats=0))


HTML = Answer(200, b"<html><body>Please log in<br></body></html>", DATED)


@pytest.mark.parametrize("headers", [{}, {"x-amz-meta-crc64": "1"}, {"x-amz-meta-crc64": "a"}])
def test_without_the_right_checksum_nothing_is_read(headers: dict[str, str]) -> None:
    for call in (lambda s: s.get("a"), lambda s: list(s.read_range("a", 0, 99))):
        with pytest.raises(OutcomeUnknown):
            answered(
                Answer(206, b"0123456789", {**DATED, "content-range": "bytes 0-9/10", **headers}),
                call=call,
            )


def test_an_answer_without_the_headers_of_an_object_is_none() -> None:
    for call in (lambda s: s.head("a"), lambda s: s.get("a"), lambda s: s.put("a", b"")):
        with pytest.raises(OutcomeUnknown):
            answered(Answer(200, b""), call=call)


@pytest.mark.parametrize(
    ("body", "span"),
    [(b"234", "bytes 1-3/10"), (b"23", "bytes 2-4/10"), (b"23", "bytes 2-3/10"), (b"2345", "bytes 2-5/10")],
    ids=["earlier", "less than told", "shorter", "longer"],
)
def test_another_range_than_was_asked_for_is_not_taken(body: bytes, span: str) -> None:
    answer = Answer(206, body, {**DATED, "content-range": span, "x-amz-meta-crc64": "1"})
    with pytest.raises(OutcomeUnknown):
        answered(answer, call=lambda s: list(s.read_range("a", 2, 5)))


def test_a_deletion_is_done_when_the_store_says_of_no_key_that_it_is_not() -> None:
    def deleted(body: str) -> Answer:
        return Answer(200, f"<DeleteResult>{body}</DeleteResult>".encode())

    gone = "<Deleted><Key>a</Key></Deleted>"
    answered(deleted(gone), call=lambda s: s.delete(["a"]))
    denied = "<Error><Key>b</Key><Code>AccessDenied</Code><Message>m</Message></Error>"
    with pytest.raises(StoreRefused, match="AccessDenied"):
        answered(deleted(gone + denied), call=lambda s: s.delete(["a", "b"]))
    for answer in (HTML, Answer(200, b"")):
        with pytest.raises(OutcomeUnknown):
            answered(answer, call=lambda s: s.delete(["a", "b"]))


def test_a_store_that_lists_out_of_order_cannot_be_used() -> None:
    facts = "<Size>1</Size><ETag>e</ETag><LastModified>2026-11-29T18:33:04.000Z</LastModified>"
    lines = "".join(f"<Contents><Key>{key}</Key>{facts}</Contents>" for key in "ba")
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{lines}</ListBucketResult>"
    with pytest.raises(StoreRefused, match="in order"):
        answered(Answer(200, page.encode()), call=lambda s: list(s.list("")))


def test_objects_that_are_deleted_one_by_one_may_be_missing(s3: S3Server) -> None:
    """As on GCS and Azure, where deleting what is not there is an error."""
    bucket = s3.add_bucket()
    with environment({**CREDENTIALS, "AWS_DISABLE_BULK_DELETE": "true"}):
        store = S3Store(s3_place(s3, bucket), randomness=SystemRandomness())
    for key in ("a", "b"):
        store.put(key, b"")
    s3.faults.add(S3Fault(Refuse(404, "NoSuchKey"), method="DELETE", path="*/a", times=None))
    store.delete(["a", "b"])
    assert [item.key for item in store.list("")] == ["a"]


def test_what_is_there_is_not_made_anew(s3: S3Server) -> None:
    with environment(CREDENTIALS):
        bucket = S3Bucket(s3_place(s3), repeats=0)
    bucket.put_new("a", b"first")
    with pytest.raises(AlreadyThere):
        bucket.put_new("a", b"second")
    assert bucket.get("a") == b"first"


@pytest.mark.parametrize("name", ["epoch", "content-type", "crc64", "cache-control"])
def test_metadata_of_any_name_stays_metadata(s3: S3Server, name: str) -> None:
    store = s3_store(s3)
    store.put("a", b"data", metadata={name: "text/plain"})
    assert dict(store.head("a").metadata) == {name: "text/plain"}
    assert store.get("a") == b"data"


def test_a_missing_object_is_told_from_a_missing_bucket(s3: S3Server) -> None:
    with pytest.raises(NoSuchObject):
        s3_store(s3).head("a")
    assert [request.method for request in s3.requests] == ["HEAD", "GET"]
