"""Links to OSS keep the contract, end in time, and bear no change."""

from __future__ import annotations

import re
import socket
import ssl
from calendar import timegm
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path
from time import strptime, time
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import httpx
import pytest

from infra.emulators.oss import OssServer, serving_oss
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials, LatestCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.links import OssLinks
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.system_clock import SystemClock
from sluice.domain.secret import Secret
from sluice.ports.object_store import MintsLinks
from tests.contracts.link_contract import KEY, LinkContract, Served
from tests.support.certificate import self_signed
from tests.support.fake_clock import START, FakeClock
from tests.support.http_calls import CALLER
from tests.support.live_cloud import live_oss_bucket
from tests.support.oss_stores import opened_oss, stand_in_bucket

DAY_S = 86_400
BUCKET = "sluice-out"


@pytest.fixture(scope="module")
def oss() -> Iterator[OssServer]:
    with serving_oss() as oss, opened_oss(oss, BUCKET) as store:
        for key in (KEY, "a/1", "a/2"):
            store.put(key, key.encode())
        yield oss


@pytest.fixture(autouse=True)
def on_time(oss: OssServer) -> None:
    oss.clock.offset_s = 0


class TestOssLinks(LinkContract):
    @pytest.fixture(autouse=True)
    def use(self, oss: OssServer) -> None:
        self.oss = oss

    def make_links(self, clock: FakeClock) -> MintsLinks:
        self.by = clock
        return OssLinks(stand_in_bucket(self.oss, BUCKET), clock=clock)

    def follow(self, url: str) -> Served | None:
        """As a browser does, as long after the signing as the test's clock has gone on since it began."""
        signed_at = timegm(strptime(query_of(url)["x-oss-date"], "%Y%m%dT%H%M%SZ"))
        self.oss.clock.offset_s = signed_at + (self.by.now() - START) - time()
        answer = CALLER.get(url)
        return None if answer.status_code == 403 else Served(answer.raise_for_status().text, filename_of(answer))

    oss: OssServer
    by: FakeClock


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def filename_of(answer: httpx.Response) -> str:
    """The name a browser would save the download under (RFC 6266)."""
    match = re.fullmatch(r"attachment; .*filename\*=UTF-8''(\S+)", answer.headers["content-disposition"])
    assert match, answer.headers["content-disposition"]
    return unquote(match[1], errors="strict")


def mint(bucket: OssBucket, *, life_s: float = 60, now: float = START) -> str:
    return OssLinks(bucket, clock=FakeClock(now)).mint_link(KEY, filename="a b.csv", expires_at=now + life_s)


@pytest.mark.parametrize(
    ("asked_s", "signed_s"), [(0.2, 1), (60, 60), (60.9, 60), (7 * DAY_S, 7 * DAY_S), (30 * DAY_S, 7 * DAY_S)]
)
def test_a_link_is_signed_for_whole_seconds_and_for_no_longer_than_oss_takes(
    oss: OssServer, asked_s: float, signed_s: int
) -> None:
    assert query_of(mint(stand_in_bucket(oss, BUCKET), life_s=asked_s))["x-oss-expires"] == str(signed_s)


def test_a_link_is_signed_for_no_longer_than_the_token_lives(oss: OssServer) -> None:
    access_key_id, secret, token = oss.issue_sts(40)
    credentials = Credentials(access_key_id, Secret(secret), Secret(token), expires_at=START + 40)
    url = mint(stand_in_bucket(oss, BUCKET, credentials=FixedCredentials(credentials)))
    assert query_of(url)["x-oss-expires"] == "40"
    assert CALLER.get(url).text == KEY


def test_a_link_ends_with_its_token_whatever_it_says_itself(oss: OssServer) -> None:
    access_key_id, secret, token = oss.issue_sts(40)
    credentials = Credentials(access_key_id, Secret(secret), Secret(token))
    url = mint(stand_in_bucket(oss, BUCKET, credentials=FixedCredentials(credentials)))
    assert CALLER.get(url).status_code == 200
    oss.clock.offset_s = 45
    assert CALLER.get(url).status_code == 403


def test_the_credentials_are_asked_for_each_link(oss: OssServer) -> None:
    latest = LatestCredentials()
    place = stand_in_bucket(oss, BUCKET, credentials=latest)
    seen = []
    for _ in range(2):
        access_key_id, secret, token = oss.issue_sts()
        latest.set(Credentials(access_key_id, Secret(secret), Secret(token)))
        url = mint(place)
        seen.append(query_of(url)["x-oss-credential"].split("/")[0] == access_key_id)
        assert CALLER.get(url).status_code == 200
    assert seen == [True, True]


@pytest.mark.parametrize(
    "name",
    ["response-content-disposition", "x-oss-date", "x-oss-expires", "x-oss-credential", "x-oss-signature"],
)
def test_whoever_changes_a_link_gets_nothing(oss: OssServer, name: str) -> None:
    url = mint(stand_in_bucket(oss, BUCKET))
    query = query_of(url)
    for changed in (query[name][:-1], query[name] + "0", flipped(query[name])):
        other = f"{url.split('?')[0]}?{urlencode(query | {name: changed}, quote_via=quote)}"
        assert CALLER.get(other).status_code in (400, 403)


@pytest.mark.parametrize("name", ["response-content-disposition", "x-oss-expires", "x-oss-signature"])
def test_whoever_takes_something_from_a_link_gets_nothing(oss: OssServer, name: str) -> None:
    url = mint(stand_in_bucket(oss, BUCKET))
    rest = {key: value for key, value in query_of(url).items() if key != name}
    assert CALLER.get(f"{url.split('?')[0]}?{urlencode(rest, quote_via=quote)}").status_code in (400, 403)


def test_a_link_is_for_one_object_and_for_reading_it(oss: OssServer) -> None:
    url = mint(stand_in_bucket(oss, BUCKET))
    assert CALLER.get(url.replace(KEY, "a/1")).status_code == 403
    assert CALLER.get(url.replace(BUCKET, "sluice-in")).status_code == 403
    assert CALLER.get(url + "&response-content-type=text/html").status_code == 403
    assert CALLER.put(url, content=b"other").status_code == 403
    assert CALLER.delete(url).status_code == 403
    assert CALLER.get(url).text == KEY


def test_a_link_may_be_fetched_in_ranges(oss: OssServer) -> None:
    answer = CALLER.get(mint(stand_in_bucket(oss, BUCKET)), headers={"range": "bytes=0-3"})
    assert (answer.status_code, answer.text) == (206, KEY[:4])


def test_the_path_of_a_link_is_the_key_as_it_is(oss: OssServer) -> None:
    assert urlsplit(mint(stand_in_bucket(oss, BUCKET))).path == f"/{BUCKET}/{KEY}"


def test_a_link_to_a_domain_of_our_own_does_not_name_the_bucket(oss: OssServer) -> None:
    oss.domains["files.example.com"] = BUCKET
    place = OssBucket(
        endpoint="files.example.com",
        region=oss.region,
        bucket=BUCKET,
        credentials=stand_in_bucket(oss).credentials,
        is_domain=True,
    )
    url = mint(place)
    assert url.startswith(f"https://files.example.com/{KEY}?")
    here = url.replace("https://files.example.com", oss.endpoint)
    assert CALLER.get(here, headers={"host": "files.example.com"}).text == KEY


def test_a_link_to_a_domain_opens_by_tls_alone_and_only_with_a_certificate_of_its_name(
    oss: OssServer, tmp_path: Path
) -> None:
    oss.domains["files.example.com"] = BUCKET
    oss.store.storage.buckets[BUCKET].tls_only = True
    place = OssBucket(
        endpoint="files.example.com",
        region=oss.region,
        bucket=BUCKET,
        credentials=stand_in_bucket(oss).credentials,
        is_domain=True,
    )
    try:
        target = mint(place).removeprefix("https://files.example.com")
        made = self_signed(tmp_path, "files.example.com")
        oss.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        oss.tls.load_cert_chain(made.certificate, made.key)
        trusting = ssl.create_default_context(cafile=str(made.certificate))
        assert by_tls(oss, "files.example.com", target, trusting) == KEY
        with pytest.raises(ssl.SSLCertVerificationError):
            by_tls(oss, "other.example.com", target, trusting)
        plain = CALLER.get(f"{oss.endpoint}{target}", headers={"host": "files.example.com"})
        assert (plain.status_code, "AccessDenied" in plain.text) == (403, True)
    finally:
        oss.store.storage.buckets[BUCKET].tls_only = False
        oss.tls = None


def by_tls(oss: OssServer, host: str, target: str, context: ssl.SSLContext) -> str:
    with (
        socket.create_connection(("127.0.0.1", oss.port), timeout=30) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        secured.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = HTTPResponse(secured)
        answer.begin()
        return answer.read().decode()


def test_a_link_to_an_endpoint_names_the_bucket_as_part_of_the_host(oss: OssServer) -> None:
    place = OssBucket(
        endpoint="https://oss-cn-hangzhou.aliyuncs.com",
        region=oss.region,
        bucket=BUCKET,
        credentials=stand_in_bucket(oss).credentials,
    )
    assert mint(place).startswith(f"https://{BUCKET}.oss-cn-hangzhou.aliyuncs.com/{KEY}?")


def test_minting_asks_nothing_of_oss(oss: OssServer) -> None:
    oss.requests.clear()
    mint(stand_in_bucket(oss, BUCKET))
    assert oss.requests == []


@pytest.mark.live
def test_a_link_works_on_the_real_service_and_bears_no_change() -> None:
    place = live_oss_bucket()
    links, expires_at = OssLinks(place, clock=SystemClock()), SystemClock().now() + 60
    with closing(OssStore(place)) as store:
        store.put("live/link.csv", b"a,b\r\n")
        try:
            url = links.mint_link("live/link.csv", filename="报表 1.csv", expires_at=expires_at)
            answer = CALLER.get(url)
            assert (answer.status_code, answer.content) == (200, b"a,b\r\n")
            assert filename_of(answer) == "报表 1.csv"
            assert CALLER.get(url.replace("link.csv", "other.csv")).status_code == 403
        finally:
            store.delete(["live/link.csv"])


def flipped(text: str) -> str:
    """Change one character in the middle."""
    middle = len(text) // 2
    return f"{text[:middle]}{'1' if text[middle] == '0' else '0'}{text[middle + 1 :]}"
