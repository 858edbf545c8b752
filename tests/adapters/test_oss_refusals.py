"""What happens when OSS does not let us in, and what the store sends and keeps open."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from infra.emulators.oss import DropAnswer, Fault, OssServer, Refuse, serving_oss
from sluice.adapters.aliyun.credentials import Credentials, EnvironmentCredentials, FixedCredentials, LatestCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.api.error_status import to_sluice_error
from sluice.domain.errors import ErrorCode
from sluice.domain.secret import Secret
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import InvalidParts, OutcomeUnknown, StoreRefused
from tests.contracts.at_once import at_once
from tests.support.oss_stores import opened_oss, stand_in_bucket, stand_in_credentials

UPLOAD = Upload("a", "0" * 32)

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
    "complete_upload": lambda s: s.complete_upload(UPLOAD, [PartReceipt(1, "0" * 32, 0)]),
    "abort_upload": lambda s: s.abort_upload(UPLOAD),
}


@pytest.fixture(scope="module")
def oss() -> Iterator[OssServer]:
    with serving_oss() as oss:
        yield oss


@pytest.fixture(autouse=True)
def fresh(oss: OssServer) -> Iterator[None]:
    yield
    oss.clock.offset_s = 0
    oss.faults.clear()
    oss.requests.clear()


def refused(store: ObjectStore, name: str) -> StoreRefused:
    with pytest.raises(StoreRefused) as caught:
        EVERY_CALL[name](store)
    assert to_sluice_error(caught.value).code is ErrorCode.STORE_UNAVAILABLE, "a caller learns no more"
    return caught.value


@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_wrong_secret_is_refused_at_every_call(oss: OssServer, name: str) -> None:
    credentials = FixedCredentials(Credentials(oss.access_key_id, Secret("wr0ng")))
    with opened_oss(oss, credentials=credentials) as store:
        error = refused(store, name)
    assert (error.code, error.ec) == ("SignatureDoesNotMatch", "0002-00000040")
    assert error.request_id
    assert "wr0ng" not in f"{error!r} {error.__cause__}"


@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_bucket_that_does_not_exist_is_no_missing_object(oss: OssServer, name: str) -> None:
    with opened_oss(oss, "no-such-bucket") as store:
        assert refused(store, name).code == "NoSuchBucket"


@pytest.mark.parametrize("offset_s", [-1000, 1000])
def test_a_clock_that_is_wrong_is_refused(oss: OssServer, offset_s: float) -> None:
    oss.clock.offset_s = offset_s
    with opened_oss(oss) as store:
        error = refused(store, "put")
    assert error.code == "RequestTimeTooSkewed"
    assert "clock" in str(error)


def test_a_role_that_may_not_is_refused(oss: OssServer) -> None:
    access_key_id, secret, token = oss.issue_sts(grants=[("PutObject", "sluice-in/in/*")])
    credentials = FixedCredentials(Credentials(access_key_id, Secret(secret), Secret(token)))
    with opened_oss(oss, credentials=credentials) as store:
        store.put("in/a", b"")
        assert refused(store, "put").code == "AccessDenied"
        assert refused(store, "list").code == "AccessDenied"


def test_a_new_accounts_public_endpoint_is_refused_with_advice(oss: OssServer) -> None:
    oss.faults.add(Fault(Refuse(400, "PublicEndpointForbidden")))
    with opened_oss(oss) as store:
        assert "domain of your own" in str(refused(store, "get"))


def test_an_expired_token_is_refused_until_the_next_credentials_come(oss: OssServer) -> None:
    latest = LatestCredentials()
    latest.set(role(oss, life_s=-1))
    with opened_oss(oss, credentials=latest) as store:
        assert refused(store, "put").code == "SecurityTokenExpired"
        latest.set(role(oss))
        store.put("a", b"")


def test_every_call_is_signed_with_the_credentials_of_the_moment(oss: OssServer) -> None:
    variables: dict[str, str] = {}
    with opened_oss(oss, credentials=EnvironmentCredentials(variables)) as store:
        assert refused(store, "put").code == "", "without credentials nothing is sent"
        assert oss.requests == []
        for _ in range(2):
            credentials = role(oss)
            variables.update(
                ALIBABA_CLOUD_ACCESS_KEY_ID=credentials.access_key_id,
                ALIBABA_CLOUD_ACCESS_KEY_SECRET=credentials.access_key_secret.reveal(),
                ALIBABA_CLOUD_SECURITY_TOKEN=credentials.security_token.reveal(),
            )
            store.put("a", b"")


def role(oss: OssServer, life_s: float = 3600) -> Credentials:
    access_key_id, secret, token = oss.issue_sts(life_s)
    return Credentials(access_key_id, Secret(secret), Secret(token))


def test_a_netrc_file_does_not_replace_the_signature(
    oss: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with opened_oss(oss) as store:
        store.put("a", b"")


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": ""},
        {"bucket": "UPPER"},
        {"bucket": ""},
        {"endpoint": ""},
        {"endpoint": "oss cn hangzhou"},
        {"endpoint": "http://[::1]:80"},
    ],
)
def test_a_place_that_cannot_be_is_refused_when_it_is_named(oss: OssServer, wrong: dict[str, str]) -> None:
    place = {"endpoint": oss.endpoint, "region": oss.region, "bucket": "sluice-in"} | wrong
    with pytest.raises(ValueError):
        OssBucket(
            endpoint=place["endpoint"],
            region=place["region"],
            bucket=place["bucket"],
            credentials=FixedCredentials(stand_in_credentials(oss)),
        )


def test_nothing_of_a_call_is_logged(oss: OssServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), opened_oss(oss) as store:
        store.put("a", b"")
        with pytest.raises(StoreRefused):
            EVERY_CALL["put_part"](OssStore(stand_in_bucket(oss, "no-such-bucket")))
    assert not [record for record in caplog.records if record.name.startswith("oss2")]


def test_calls_one_after_the_other_use_one_connection(oss: OssServer, connections: list[object]) -> None:
    with opened_oss(oss) as store:
        store.put("a", b"0123456789")
        store.get("a")
        store.head("a")
        list(store.read_range("a", 2, 5))
        list(store.list(""))
        upload = store.begin_upload("b", metadata={})
        store.complete_upload(upload, [store.put_part(upload, 1, b"part")])
        store.abort_upload(store.begin_upload("c", metadata={}))
        store.delete(["a", "b"])
    assert len(connections) == 1


def test_calls_in_parallel_keep_their_connections(oss: OssServer, connections: list[object]) -> None:
    with opened_oss(oss) as store:
        upload = store.begin_upload("b", metadata={})
        for _turn in range(3):
            at_once(8, lambda index: store.put_part(upload, index + 1, b"part"))
        assert len(connections) <= 9
        store.abort_upload(upload)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection that is made from now on, by whomever."""
    made: list[object] = []
    connect = socket.socket.connect

    def counted(self: socket.socket, address: tuple[str, int]) -> None:
        made.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counted)
    return made


def test_a_range_that_is_not_read_to_its_end_leaves_nothing_open(oss: OssServer) -> None:
    with opened_oss(oss) as store:
        store.put("a", bytes(3 << 20))
        blocks = store.read_range("a", 0, 3 << 20)
        next(blocks)
        del blocks  # an open socket would be warned of here
        assert store.head("a").size == 3 << 20


def test_deletions_go_in_batches_as_large_as_oss_takes(oss: OssServer) -> None:
    with opened_oss(oss) as store:
        store.delete([f"many/{number}" for number in range(2001)])
    assert [call.operation for call in oss.requests] == ["DeleteMultipleObjects"] * 3


def test_listings_come_page_by_page_as_they_are_read(oss: OssServer) -> None:
    with opened_oss(oss, page_max=2) as store:
        for number in range(5):
            store.put(f"p/{number}", b"")
            store.begin_upload("p/same", metadata={})
        oss.requests.clear()
        listing, uploads = store.list("p/"), store.list_uploads("p/")
        next(listing), next(uploads)
        assert len(oss.requests) == 2
        assert [item.key for item in listing] == [f"p/{number}" for number in range(1, 5)]
        assert len({upload.upload_id for upload in uploads}) == 4
        assert len(oss.requests) == 6


def test_parts_that_are_too_small_are_refused(oss: OssServer) -> None:
    with opened_oss(oss) as store:
        upload = store.begin_upload("b", metadata={})
        receipts = [store.put_part(upload, number, b"small") for number in (1, 2)]
        with pytest.raises(InvalidParts, match="EntityTooSmall"):
            store.complete_upload(upload, receipts)
        store.abort_upload(upload)


def test_an_object_that_is_not_what_its_parts_were_is_no_success(oss: OssServer) -> None:
    with opened_oss(oss) as store:
        upload = store.begin_upload("b", metadata={})
        receipt = store.put_part(upload, 1, b"part")
        lying = receipt._replace(etag=receipt.etag[:-1] + ("0" if receipt.etag[-1] != "0" else "1"))
        with pytest.raises(InvalidParts, match="not the parts"):
            store.complete_upload(upload, [lying])


def test_a_completion_of_a_thousand_parts_is_compared_quickly(oss: OssServer) -> None:
    oss.part_bytes_min = 1
    try:
        with opened_oss(oss) as store:
            upload = store.begin_upload("b", metadata={})
            with ThreadPoolExecutor(4) as pool:
                receipts = list(pool.map(lambda n: store.put_part(upload, n, b"%d" % n), range(1, 1001)))
            store.complete_upload(upload, receipts)
            assert store.get("b") == b"".join(b"%d" % n for n in range(1, 1001))
    finally:
        oss.part_bytes_min = 102_400


def test_a_put_is_one_request_and_its_repeat_is_harmless(oss: OssServer) -> None:
    oss.faults.add(Fault(DropAnswer(), operation="PutObject"))
    with closing(OssStore(stand_in_bucket(oss))) as store:
        with pytest.raises(OutcomeUnknown):
            store.put("once", b"data")
        store.put("once", b"data")
        assert [call.operation for call in oss.requests] == ["PutObject"] * 2
        assert store.get("once") == b"data"
