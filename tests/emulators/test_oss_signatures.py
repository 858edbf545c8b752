"""Signatures: the published examples of both versions, and everything that must be refused."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import oss2
import pytest

from infra.emulators.oss import OssServer, serving_oss
from infra.emulators.oss.key_ring import Caller
from tests.emulators.oss_callers import AUTHS, Auth, Reply, ask, auth_v1, auth_v4, bucket_of, call, connected

PARAMETERS = "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2&%7Cparam2&param2"
"""Of the examples that the vendor's SDKs in several languages share."""
SHARED = {"x-oss-head1": "value", "abc": "value", "ZAbc": "value", "XYZ": "value"}
UNSIGNED = {"x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
SCOPE = "cn-hangzhou/oss/aliyun_v4_request"


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssServer]:
    with serving_oss(buckets=("sluice-in", "bucket", "oss-example"), folder=tmp_path) as server:
        yield server


@pytest.mark.parametrize(
    ("at", "token", "additional", "signature"),
    [
        (1702743657, "", "", "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"),
        (1702784856, "token", "", "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"),
        (
            1702747512,
            "",
            "AdditionalHeaders=abc;zabc,",
            "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f",
        ),
    ],
)
def test_version_4_headers_are_checked_as_published(
    oss: OssServer, at: int, token: str, additional: str, signature: str
) -> None:
    known_at(oss, at, Caller("ak", "sk", token))
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    headers = {
        **SHARED,
        **UNSIGNED,
        **({"x-oss-security-token": token} if token else {}),
        "content-type": "text/plain",
        "x-oss-date": date,
    }

    def put(signature: str) -> Reply:
        signed = f"OSS4-HMAC-SHA256 Credential=ak/{date[:8]}/{SCOPE},{additional}Signature={signature}"
        return at_host(oss, "PUT", f"/1234%2B-/123/1.txt?{PARAMETERS}", headers={**headers, "Authorization": signed})

    assert put(signature).status == 200
    assert put(signature[::-1]).error()["EC"] == "0002-00000040"
    assert oss.keys("bucket") == ["1234+-/123/1.txt"]


def test_version_4_links_are_checked_as_published(oss: OssServer) -> None:
    known_at(oss, 1702781677, Caller("ak", "sk"))
    headers = {**SHARED, "content-type": "application/octet-stream"}
    link = (
        f"/1234%2B-/123/1.txt?{PARAMETERS}&x-oss-credential=ak%2F20231217%2Fcn-hangzhou%2Foss%2Faliyun_v4_request"
        "&x-oss-date=20231217T025437Z&x-oss-expires=599&x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature="
    )
    signature = "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe"
    assert at_host(oss, "PUT", link + signature, headers=headers).status == 200
    assert at_host(oss, "PUT", link + signature[::-1], headers=headers).status == 403


def test_version_1_headers_are_checked_as_published(oss: OssServer) -> None:
    known_at(oss, 1132253398, Caller("44CF9590006BF252F707", "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"))
    headers = {
        "Content-Md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
        "Content-Type": "text/html",
        "Date": "Thu, 17 Nov 2005 18:49:58 GMT",
        "X-OSS-Meta-Author": "foo@bar.com",
        "X-OSS-Magic": "abracadabra",
        "Authorization": "OSS 44CF9590006BF252F707:26NBxoKdsyly4EDv6inkoDft/yA=",
    }
    reply = call(oss, "PUT", "/oss-example/nelson", headers=headers)
    assert reply.error()["Code"] == "InvalidDigest", "the signature is right; the digest is an example's"
    reply = call(oss, "PUT", "/oss-example/nelson", headers={**headers, "X-OSS-Magic": "abracadabrb"})
    assert reply.error()["Code"] == "SignatureDoesNotMatch"


def test_version_1_links_are_checked_as_published(oss: OssServer) -> None:
    known_at(oss, 1141889060, Caller("44CF9590006BF252F707", "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"))
    link = "/oss-example/oss-api.pdf?OSSAccessKeyId=44CF9590006BF252F707&Expires=1141889120&Signature="
    reply = call(oss, "GET", link + "EwaNTn1erJGkimiJ9WmXgwnANLc%3D")
    assert reply.error()["Code"] == "NoSuchKey", "the signature is right"
    assert call(oss, "GET", link + "FwaNTn1erJGkimiJ9WmXgwnANLc%3D").error()["Code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize("auth", list(AUTHS.values()), ids=list(AUTHS))
@pytest.mark.parametrize("offset_s", [-960, 960])  # a minute for a busy machine
def test_a_date_more_than_15_minutes_off_is_refused(oss: OssServer, auth: type[Auth], offset_s: float) -> None:
    with bucket_of(oss, auth(oss)) as bucket:
        oss.clock.offset_s = offset_s * 0.87
        bucket.put_object("a", b"1")
        oss.clock.offset_s = offset_s
        with pytest.raises(oss2.exceptions.ServerError) as refused:
            bucket.put_object("b", b"1")
    assert (refused.value.status, refused.value.code) == (403, "RequestTimeTooSkewed")
    assert oss.keys("sluice-in") == ["a"]


@pytest.mark.parametrize("date", ["", "yesterday", "20231216"])
@pytest.mark.parametrize("scheme", ["OSS a:b", f"OSS4-HMAC-SHA256 Credential=a/20231216/{SCOPE},Signature=b"])
def test_a_date_that_is_none_is_refused(oss: OssServer, scheme: str, date: str) -> None:
    oss.store.keys.add(Caller("a", "b"))
    headers = {**UNSIGNED, "Authorization": scheme, "x-oss-date": date}
    reply = call(oss, "GET", "/sluice-in/x", headers=headers)
    assert (reply.status, reply.error()["Code"]) == (403, "AccessDenied")


@pytest.mark.parametrize("auth", [auth_v1, auth_v4])
def test_an_unknown_key_is_refused(oss: OssServer, auth: type[Auth]) -> None:
    signer = auth(oss)
    signer.credentials_provider.credentials.access_key_id = "LTAI-nobody"
    with bucket_of(oss, signer) as bucket, pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.get_object("a")
    assert (refused.value.status, refused.value.code) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize("version", [oss2.AUTH_VERSION_1, oss2.AUTH_VERSION_4])
def test_temporary_keys_need_their_token_in_time(oss: OssServer, version: str) -> None:
    key_id, secret, token = oss.issue_sts(life_s=600)
    assert code_for(oss, oss2.StsAuth(key_id, secret, token, version)) == "NoSuchKey"
    assert code_for(oss, oss2.StsAuth(key_id, secret, "another", version)) == "InvalidSecurityToken"
    assert code_for(oss, oss2.make_auth(key_id, secret, version)) == "InvalidSecurityToken"
    other_id, other_secret, _ = oss.issue_sts()
    assert code_for(oss, oss2.StsAuth(other_id, other_secret, token, version)) == "InvalidSecurityToken"
    oss.clock.offset_s = 601
    assert code_for(oss, oss2.StsAuth(key_id, secret, token, version)) == "SecurityTokenExpired"
    assert code_for(oss, oss2.StsAuth(*oss.issue_sts(life_s=0), version)) == "SecurityTokenExpired"


@pytest.mark.parametrize("version", [oss2.AUTH_VERSION_1, oss2.AUTH_VERSION_4])
def test_a_link_lives_no_longer_than_the_token_that_signed_it(oss: OssServer, version: str) -> None:
    with bucket_of(oss, oss2.StsAuth(*oss.issue_sts(life_s=600), version)) as bucket:
        bucket.put_object("a", b"1")
        link = bucket.sign_url("GET", "a", 3600)
    assert call(oss, "GET", link).status == 200
    oss.clock.offset_s = 601
    assert call(oss, "GET", link).error()["Code"] == "SecurityTokenExpired"


def test_rights_of_temporary_keys_can_be_narrowed(oss: OssServer) -> None:
    grants = [("GetObject", "sluice-in/out/t1/*"), ("HeadObject", "sluice-in/out/t1/*"), ("ListObjects*", "sluice-in")]
    with bucket_of(oss) as owner, bucket_of(oss, oss2.StsAuth(*oss.issue_sts(grants=grants))) as narrow:
        for key in ("out/t1/a", "out/t2/a"):
            owner.put_object(key, b"1")
        assert narrow.get_object("out/t1/a").read() == b"1"
        assert len(narrow.list_objects_v2().object_list) == 2
        with pytest.raises(oss2.exceptions.AccessDenied):
            narrow.get_object("out/t2/a")
        with pytest.raises(oss2.exceptions.AccessDenied):
            narrow.put_object("out/t1/a", b"2")
    assert oss.content("sluice-in", "out/t1/a") == b"1"


@pytest.mark.parametrize(("life_s", "status"), [(0, 400), (1, 200), (604_800, 200), (604_801, 400)])
def test_a_version_4_link_lives_between_a_second_and_seven_days(oss: OssServer, life_s: int, status: int) -> None:
    with bucket_of(oss) as bucket:
        bucket.put_object("a", b"1")
        reply = call(oss, "GET", bucket.sign_url("GET", "a", life_s))
    assert reply.status == status
    assert status == 200 or reply.error()["EC"] == "0002-00000232"


def test_a_version_4_link_is_not_good_before_it_was_signed(oss: OssServer) -> None:
    with bucket_of(oss) as bucket:
        bucket.put_object("a", b"1")
        link = bucket.sign_url("GET", "a", 3600)
    oss.clock.offset_s = -1000
    assert call(oss, "GET", link).error()["Code"] == "RequestTimeTooSkewed"


def test_a_version_1_link_may_live_long_but_not_longer(oss: OssServer) -> None:
    with bucket_of(oss, auth_v1(oss)) as bucket:
        bucket.put_object("a", b"1")
        link = bucket.sign_url("GET", "a", 800_000)
    oss.clock.offset_s = 799_000
    assert call(oss, "GET", link).status == 200
    oss.clock.offset_s = 800_001
    reply = call(oss, "GET", link)
    assert (reply.status, reply.error()["Code"], reply.error()["EC"]) == (403, "AccessDenied", "0002-00000069")


@pytest.mark.parametrize("auth", [auth_v1, auth_v4])
def test_every_parameter_of_a_link_counts(oss: OssServer, auth: type[Auth]) -> None:
    with bucket_of(oss, auth(oss)) as bucket:
        bucket.put_object("a", b"1")
        link = bucket.sign_url("GET", "a", 60, params={"response-content-type": "text/csv"})
    url = urlsplit(link)
    parameters = dict(parse_qsl(url.query))
    assert call(oss, "GET", link).headers["content-type"] == "text/csv"
    for name, value in parameters.items():
        changed = urlencode({**parameters, name: f"{value[:-1]}{'1' if value[-1] == '0' else '0'}"})
        assert call(oss, "GET", f"{url.path}?{changed}").status in {400, 403}, name
        missing = urlencode({key: kept for key, kept in parameters.items() if key != name})
        assert call(oss, "GET", f"{url.path}?{missing}").status in {400, 403}, name


@pytest.mark.parametrize(
    "scope", ["20991231/cn-hangzhou/oss", "{day}/cn-beijing/oss", "{day}/cn-hangzhou/ots", "{day}/cn-hangzhou"]
)
def test_a_key_of_another_day_region_or_product_is_refused(oss: OssServer, scope: str) -> None:
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    credential = f"{oss.access_key_id}/{scope.format(day=date[:8])}/aliyun_v4_request"
    signed = f"OSS4-HMAC-SHA256 Credential={credential},Signature=00"
    reply = call(oss, "GET", "/sluice-in/a", headers={**UNSIGNED, "x-oss-date": date, "Authorization": signed})
    assert (reply.status, reply.error()["Code"]) == (400, "InvalidArgument")


def test_the_sdk_with_another_region_is_refused(oss: OssServer) -> None:
    with bucket_of(oss) as bucket:
        bucket.region = "cn-beijing"
        with pytest.raises(oss2.exceptions.InvalidArgument):
            bucket.put_object("a", b"1")


def test_headers_of_the_answer_are_chosen_by_signed_requests_only(oss: OssServer) -> None:
    with bucket_of(oss) as bucket:
        bucket.put_object("a", b"1", headers={"x-oss-object-acl": "public-read"})
        reply = call(oss, "GET", "/sluice-in/a?response-content-type=text/html")
        assert (reply.status, reply.error()["Code"]) == (400, "InvalidRequest")
        assert bucket.get_object("a", params={"response-content-type": "text/html"}).content_type == "text/html"


def test_what_public_means(oss: OssServer) -> None:
    with bucket_of(oss) as bucket:
        bucket.put_object("a", b"1", headers={"x-oss-object-acl": "public-read"})
    assert call(oss, "GET", "/sluice-in/a").body == b"1"
    for method, target in [("PUT", "/sluice-in/a"), ("DELETE", "/sluice-in/a"), ("GET", "/sluice-in"), ("GET", "/")]:
        assert call(oss, method, target).status == 403
    assert call(oss, "GET", "/sluice-in/no").status == 403, "who may not look is not told what is missing"


def test_an_unknown_scheme_is_refused(oss: OssServer) -> None:
    reply = call(oss, "GET", "/sluice-in/a", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x"})
    assert (reply.status, reply.error()["Code"]) == (400, "InvalidArgument")


def known_at(oss: OssServer, at: float, caller: Caller) -> None:
    oss.clock.offset_s = at - time.time()
    oss.store.keys.add(caller)


def at_host(oss: OssServer, method: str, target: str, *, headers: Mapping[str, str]) -> Reply:
    with connected(oss) as connection:
        host = {"Host": "bucket.oss-cn-hangzhou.aliyuncs.com"}
        return ask(connection, method, target, headers={**host, **headers})


def code_for(oss: OssServer, auth: Auth) -> str:
    with bucket_of(oss, auth) as bucket, pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.get_object("never-was")
    return str(refused.value.code)
