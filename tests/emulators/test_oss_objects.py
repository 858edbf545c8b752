"""Objects on the wire: what the SDK hides, and what readers see while writers write."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from xml.etree import ElementTree as ET

import oss2
import pytest

from infra.emulators.oss import OssServer, serving_oss
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.domain.secret import Secret
from sluice.ports.store_errors import NoSuchObject, StoreRefused
from tests.contracts.crc64_oracle import crc64_oracle
from tests.emulators.oss_callers import ask, auth_v4, bucket_of, call, connected, eventually, link

DATA = bytes(range(256)) * 4
LAST = len(DATA) - 1


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssServer]:
    with serving_oss(folder=tmp_path) as server:
        yield server


@pytest.fixture
def bucket(oss: OssServer) -> Iterator[oss2.Bucket]:
    with bucket_of(oss) as caller:
        yield caller


def test_a_put_answers_with_the_checksums_of_what_came_in(oss: OssServer, bucket: oss2.Bucket) -> None:
    reply = call(oss, "PUT", link(bucket, method="PUT"), body=DATA)
    digest = hashlib.md5(DATA)
    assert reply.headers["etag"] == f'"{digest.hexdigest().upper()}"'
    assert reply.headers["content-md5"] == base64.b64encode(digest.digest()).decode()
    assert reply.headers["x-oss-hash-crc64ecma"] == crc64_oracle(DATA)
    assert call(oss, "HEAD", link(bucket, method="HEAD")).headers["x-oss-hash-crc64ecma"] == crc64_oracle(DATA)


def test_bytes_that_do_not_match_their_digest_are_not_stored(oss: OssServer, bucket: oss2.Bucket) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with pytest.raises(oss2.exceptions.InvalidDigest):
        bucket.put_object("a", DATA, headers={"Content-MD5": wrong})
    assert oss.keys("sluice-in") == []
    right = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    assert bucket.put_object("a", DATA, headers={"Content-MD5": right}).status == 200


def test_an_error_tells_its_code_twice_and_its_request(oss: OssServer, bucket: oss2.Bucket) -> None:
    reply = call(oss, "GET", link(bucket))
    told = reply.error()
    assert (reply.status, told["Code"], told["EC"], told["Key"]) == (404, "NoSuchKey", "0026-00000001", "a")
    assert told["RequestId"] == reply.headers["x-oss-request-id"]
    assert told["HostId"] == f"127.0.0.1:{oss.port}"
    assert reply.headers["content-type"] == "application/xml"


def test_an_error_of_a_head_request_travels_in_a_header(oss: OssServer, bucket: oss2.Bucket) -> None:
    reply = call(oss, "HEAD", link(bucket, method="HEAD"))
    assert (reply.status, reply.body, reply.headers["x-oss-ec"]) == (404, b"", "0026-00000001")
    assert ET.fromstring(base64.b64decode(reply.headers["x-oss-err"])).findtext("Code") == "NoSuchKey"
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.head_object("a")


@pytest.mark.parametrize(
    ("asked", "behaviour", "status", "expected"),
    [
        ("bytes=0-9", "", 206, DATA[:10]),
        (f"bytes=5-{LAST}", "", 206, DATA[5:]),
        ("bytes=1000-", "", 206, DATA[1000:]),
        ("bytes=-24", "", 206, DATA[-24:]),
        ("bytes=0-3,8-9", "", 206, DATA[:4]),
        (f"bytes=5-{LAST + 1}", "", 200, DATA),
        ("bytes=2000-3000", "", 200, DATA),
        ("bytes=2000-", "", 200, DATA),
        ("bytes=-2000", "", 200, DATA),
        ("bytes=9-5", "standard", 200, DATA),
        ("bytes=-0", "standard", 200, DATA),
        ("bytes=-", "standard", 200, DATA),
        ("byte=0-9", "standard", 200, DATA),
        (f"bytes=5-{LAST + 1}", "standard", 206, DATA[5:]),
        ("bytes=-2000", "standard", 206, DATA),
        ("bytes=2000-", "standard", 416, b""),
        (f"bytes={LAST + 1}-{LAST + 9}", "standard", 416, b""),
    ],
)
def test_a_range_outside_the_object_counts_as_none_unless_asked_otherwise(
    oss: OssServer, bucket: oss2.Bucket, asked: str, behaviour: str, status: int, expected: bytes
) -> None:
    bucket.put_object("a", DATA)
    headers = {"Range": asked, **({"x-oss-range-behavior": behaviour} if behaviour else {})}
    reply = call(oss, "GET", bucket.sign_url("GET", "a", 60, headers=dict(headers)), headers=headers)
    assert reply.status == status
    if status == 416:
        assert reply.error()["Code"] == "InvalidRange"
    else:
        assert reply.body == expected
        assert ("content-range" in reply.headers) is (status == 206)


def test_an_empty_object_is_an_object(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("empty", b"")
    assert bucket.get_object("empty").read() == b""
    assert bucket.get_object("empty", byte_range=(0, 9)).read() == b""
    assert oss.content("sluice-in", "empty") == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("header", "kind", "status"),
    [
        ("If-Match", "etag", 200),
        ("If-Match", "other", 412),
        ("If-None-Match", "etag", 304),
        ("If-None-Match", "other", 200),
        ("If-Modified-Since", "before", 200),
        ("If-Modified-Since", "after", 304),
        ("If-Unmodified-Since", "before", 412),
        ("If-Unmodified-Since", "after", 200),
    ],
)
def test_conditions_of_a_reader_are_kept(
    oss: OssServer, bucket: oss2.Bucket, method: str, header: str, kind: str, status: int
) -> None:
    etag = bucket.put_object("a", DATA).etag
    now = oss.clock.now()
    value = {
        "etag": f'"{etag}"',
        "other": '"00"',
        "before": formatdate(now - 60, usegmt=True),
        "after": formatdate(now + 60, usegmt=True),
    }[kind]
    reply = call(oss, method, link(bucket, method=method), headers={header: value})
    assert reply.status == status
    if method == "HEAD" or status == 304:
        assert reply.body == b""
    elif status == 412:
        assert reply.error()["Code"] == "PreconditionFailed"
    else:
        assert reply.body == DATA


def test_one_of_a_hundred_writers_that_forbid_overwriting_wins(oss: OssServer) -> None:
    def write(number: int) -> int:
        with bucket_of(oss) as bucket, suppress(oss2.exceptions.ServerError):
            bucket.put_object("one", b"%d" % number, headers={"x-oss-forbid-overwrite": "true"})
            return number
        return -1

    with ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(write, range(100)) if number >= 0]
    assert len(winners) == 1
    assert oss.content("sluice-in", "one") == b"%d" % winners[0]
    assert Counter(sent.code for sent in oss.requests) == {"": 1, "FileAlreadyExists": 99}


def test_forbid_overwrite_is_true_or_false(bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"1", headers={"x-oss-forbid-overwrite": "false"})
    with pytest.raises(oss2.exceptions.InvalidArgument):
        bucket.put_object("a", b"2", headers={"x-oss-forbid-overwrite": "yes"})


def test_a_reader_sees_one_version_whole_whatever_writers_do(oss: OssServer, bucket: oss2.Bucket) -> None:
    versions = [bytes([65 + number]) * 300_000 for number in range(4)]
    bucket.put_object("a", versions[0])
    stop = threading.Event()

    def rewrite() -> None:
        with bucket_of(oss) as writer:
            while not stop.is_set():
                for version in versions:
                    writer.put_object("a", version)
                writer.delete_object("b")

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(60):
            got = bucket.get_object("a")
            assert got.read() in versions
            assert got.client_crc == got.server_crc
    finally:
        stop.set()
        thread.join()


def test_a_put_that_breaks_off_changes_nothing(oss: OssServer, bucket: oss2.Bucket) -> None:
    bucket.put_object("a", b"old")
    with connected(oss) as connection:
        target = link(bucket, method="PUT").removeprefix(oss.endpoint)
        connection.putrequest("PUT", target)
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"x" * 500_000)
    assert bucket.get_object("a").read() == b"old"
    eventually(lambda: len(list(oss.store.storage.folder.iterdir())) == 1)


def test_a_link_to_a_domain_of_its_own_or_to_the_buckets_host_finds_the_object(
    oss: OssServer, bucket: oss2.Bucket
) -> None:
    bucket.put_object("报表/a b.csv", DATA)
    oss.domains["files.example.com"] = "sluice-in"
    named = oss2.Bucket(auth_v4(oss), "http://files.example.com", "sluice-in", is_cname=True, region=oss.region)
    virtual = oss2.Bucket(auth_v4(oss), "http://oss-cn-hangzhou.aliyuncs.com", "sluice-in", region=oss.region)
    hosts = {"files.example.com": named, "sluice-in.oss-cn-hangzhou.aliyuncs.com": virtual}
    for host, signer in hosts.items():
        target = signer.sign_url("GET", "报表/a b.csv", 60, slash_safe=True)
        assert host in target
        assert call(oss, "GET", target, headers={"Host": host}).body == DATA


@pytest.mark.parametrize(
    "key", ["a+ b%25空.bin", "..", "a/../b", "a//b", "x" * 1023, "\x01<&>\"'", "a?b#c", "." * 9 + "/"]
)
def test_odd_keys_are_kept_apart(oss: OssServer, bucket: oss2.Bucket, key: str) -> None:
    for number, name in enumerate([key, "a", "b", "空"]):
        target = link(bucket, name, "PUT")
        assert call(oss, "PUT", target, body=b"%d" % number).status == 200
    assert oss.content("sluice-in", key) == b"0"
    assert set(oss.keys("sluice-in")) == {key, "a", "b", "空"}


@pytest.mark.parametrize("path", ["/sluice-in//a", "/sluice-in/%5Ca", "/sluice-in/" + "x" * 1024, "/sluice-in/%ff%fe"])
def test_impossible_keys_are_refused(oss: OssServer, path: str) -> None:
    reply = call(oss, "GET", path)
    assert (reply.status, reply.error()["Code"]) == (400, "InvalidObjectName")


def test_a_caller_that_waits_for_permission_gets_it_when_the_body_is_wanted(
    oss: OssServer, bucket: oss2.Bucket
) -> None:
    with connected(oss) as connection:
        connection.putrequest("PUT", link(bucket, method="PUT").removeprefix(oss.endpoint))
        connection.putheader("Content-Length", "5")
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        assert connection.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"hello")
        assert connection.getresponse().status == 200
    assert oss.content("sluice-in", "a") == b"hello"


def test_one_connection_carries_many_requests_errors_included(oss: OssServer, bucket: oss2.Bucket) -> None:
    with connected(oss) as connection:
        connection.connect()
        sock = connection.sock
        assert ask(connection, "PUT", "/sluice-in/a", body=b"x" * 100_000).status == 403
        assert (
            ask(connection, "PUT", link(bucket, "no/such/one", "PUT", uploadId="0", partNumber="1"), body=DATA).status
            == 404
        )
        assert ask(connection, "PUT", link(bucket, method="PUT"), body=DATA).status == 200
        assert ask(connection, "GET", link(bucket)).body == DATA
        assert ask(connection, "HEAD", link(bucket, method="HEAD")).status == 200
        assert ask(connection, "DELETE", link(bucket, method="DELETE")).status == 204
        assert ask(connection, "GET", link(bucket)).status == 404
        assert connection.sock is sock


def test_the_clock_can_be_moved_and_is_told(oss: OssServer, bucket: oss2.Bucket) -> None:
    oss.clock.offset_s = 600
    put = bucket.put_object("a", b"1")
    told = bucket.head_object("a")
    assert told.last_modified == pytest.approx(oss.clock.now(), abs=30)
    assert oss2.utils.http_to_unixtime(put.headers["Date"]) == pytest.approx(oss.clock.now(), abs=30)


def test_metadata_that_is_not_ascii_comes_back_as_the_same_bytes(oss: OssServer, bucket: oss2.Bucket) -> None:
    name = "x-oss-meta-name"
    target = bucket.sign_url("PUT", "a", 60, headers={name: "报表"})
    assert call(oss, "PUT", target, headers={name: "报表".encode().decode("latin-1")}, body=b"1").status == 200
    assert oss.metadata("sluice-in", "a")[name] == "报表"
    told = call(oss, "GET", link(bucket)).headers[name]
    assert told.encode("latin-1").decode() == "报表"


@pytest.mark.parametrize("parameter", ["versions", "symlink", "x-oss-process", "replication"])
def test_what_the_stand_in_does_not_do_is_refused(oss: OssServer, bucket: oss2.Bucket, parameter: str) -> None:
    bucket.put_object("a", b"1")
    assert call(oss, "GET", link(bucket, **{parameter: "x"})).error()["Code"] == "NotImplemented"


@pytest.mark.parametrize("quiet", ["false", "true"])
@pytest.mark.parametrize("encoding", ["", "<EncodingType>url</EncodingType>"])
def test_deleting_many_tells_each_key_unless_asked_to_be_quiet(
    oss: OssServer, bucket: oss2.Bucket, quiet: str, encoding: str
) -> None:
    names = ["a b", "空&"]
    for name in [*names, "c"]:
        bucket.put_object(name, b"1")
    written = ["a%20b", "%E7%A9%BA%26"] if encoding else ["a b", "空&amp;"]
    objects = "".join(f"<Object><Key>{name}</Key></Object>" for name in [*written, "no"])
    body = f"<Delete>{encoding}<Quiet>{quiet}</Quiet>{objects}</Delete>".encode()
    reply = delete_many(bucket, body)
    assert oss.keys("sluice-in") == ["c"]
    told = [key.text for key in ET.fromstring(reply).iter("Key")] if reply else []
    assert told == ([] if quiet == "true" else ["a%20b", "%E7%A9%BA%26", "no"] if encoding else ["a b", "空&", "no"])


@pytest.mark.parametrize(
    "body", [b"", b"<Delete>", b"<Other><Object><Key>a</Key></Object></Other>", b"<Delete></Delete>"]
)
def test_a_deletion_that_cannot_be_understood_deletes_nothing(oss: OssServer, bucket: oss2.Bucket, body: bytes) -> None:
    bucket.put_object("a", b"1")
    with pytest.raises(oss2.exceptions.MalformedXml):
        delete_many(bucket, body)
    assert oss.keys("sluice-in") == ["a"]


def test_no_more_than_a_thousand_are_deleted_at_once(bucket: oss2.Bucket) -> None:
    bucket.batch_delete_objects([f"k{number}" for number in range(1000)])
    with pytest.raises(oss2.exceptions.MalformedXml):
        bucket.batch_delete_objects([f"k{number}" for number in range(1001)])


def delete_many(bucket: oss2.Bucket, body: bytes) -> bytes:
    """Past the SDK's own writing of the document, with its signature."""
    request = oss2.http.Request("POST", f"{bucket.endpoint}/{bucket.bucket_name}/", data=body, params={"delete": ""})
    request.region, request.product = bucket.region, "oss"
    bucket.auth._sign_request(request, bucket.bucket_name, "")
    answer = bucket.session.do_request(request, 10)
    if answer.status != 200:
        raise oss2.exceptions.make_exception(answer)
    return bytes(answer.read())


@pytest.mark.parametrize(("grants", "answer"), [([("GetObject", "sluice-in/*")], 403), ([("*", "*")], 404)])
def test_a_bucket_may_hide_from_those_who_cannot_list_that_an_object_is_missing(
    oss: OssServer, bucket: oss2.Bucket, grants: list[tuple[str, str]], answer: int
) -> None:
    key_id, secret, token = oss.issue_sts(grants=grants)
    place = OssBucket(
        endpoint=oss.endpoint,
        region=oss.region,
        bucket="sluice-in",
        credentials=FixedCredentials(Credentials(key_id, Secret(secret), Secret(token))),
    )
    bucket.put_object("there", DATA)
    oss.store.storage.buckets["sluice-in"].hides_missing = True
    store = OssStore(place, connect_timeout_s=30, read_timeout_s=30)
    assert store.get("there") == DATA
    with pytest.raises(StoreRefused if answer == 403 else NoSuchObject) as refused:
        store.get("missing")
    if answer == 403:
        assert "the object is missing" in str(refused.value)
