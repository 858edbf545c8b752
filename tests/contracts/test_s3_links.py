"""Links to S3 keep the contract, end in time, and bear no change."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterator
from time import strptime, time
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import httpx
import pytest

from sluice.adapters.s3.store import S3Links
from sluice.adapters.system_clock import SystemClock
from sluice.ports.object_store import FILENAME, MintsLinks
from tests.contracts.link_contract import KEY, LinkContract, Served
from tests.support.fake_clock import START, FakeClock
from tests.support.http_calls import CALLER
from tests.support.s3_server import S3Server, serving_s3
from tests.support.s3_stores import CREDENTIALS, environment, live_s3, s3_place, s3_store


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture(autouse=True)
def on_time(s3: S3Server) -> None:
    s3.offset_s = 0


class TestS3Links(LinkContract):
    @pytest.fixture(autouse=True)
    def use(self, s3: S3Server) -> None:
        self.s3, self.bucket = s3, s3.add_bucket()

    def place(self, key: str, filename: str) -> None:
        s3_store(self.s3, self.bucket).put(key, key.encode(), metadata={FILENAME: quote(filename, safe="")})

    def make_links(self, clock: FakeClock) -> MintsLinks:
        self.by = clock
        with environment(CREDENTIALS):
            return S3Links(s3_place(self.s3, self.bucket), clock=clock)

    def follow(self, url: str) -> Served | None:
        """As a browser does, as long after the signing as the test's clock has gone on since it began."""
        signed_at = timegm(strptime(query_of(url)["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
        self.s3.offset_s = signed_at + (self.by.now() - START) - time()
        answer = CALLER.get(url)
        return None if answer.status_code == 403 else Served(answer.raise_for_status().text, filename_of(answer))

    s3: S3Server
    bucket: str
    by: FakeClock


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def filename_of(answer: httpx.Response) -> str:
    """The name a browser would save the download under (RFC 6266)."""
    match = re.fullmatch(r"attachment; .*filename\*=UTF-8''(\S+)", answer.headers["content-disposition"])
    assert match, answer.headers["content-disposition"]
    return unquote(match[1], errors="strict")


@pytest.fixture
def url(s3: S3Server) -> str:
    """A link to ``KEY``, whose bucket also has ``a/1``."""
    bucket = s3.add_bucket()
    store = s3_store(s3, bucket)
    for key in (KEY, "a/1"):
        store.put(key, key.encode())
    with environment(CREDENTIALS):
        links = S3Links(s3_place(s3, bucket), clock=SystemClock())
    return links.mint_link(KEY, filename="a.csv", expires_at=time() + 60)


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Expires", "X-Amz-Credential", "X-Amz-Signature"])
def test_whoever_changes_a_link_gets_nothing(url: str, name: str) -> None:
    query = query_of(url)
    changed = query[name][:-2] + ("11" if query[name][-2:] != "11" else "22")
    path = url.partition("?")[0]
    for other in (query | {name: changed}, {key: value for key, value in query.items() if key != name}):
        assert CALLER.get(f"{path}?{urlencode(other, quote_via=quote)}").status_code in (400, 403)


def test_a_link_is_for_one_object_and_for_reading_it(url: str) -> None:
    assert CALLER.get(url.replace(KEY, "a/1")).status_code == 403
    assert CALLER.get(url + "&response-content-type=text/html").status_code == 403
    assert CALLER.put(url, content=b"other").status_code == 403
    assert CALLER.delete(url).status_code == 403
    assert CALLER.get(url).text == KEY


def test_a_link_may_be_fetched_in_ranges(url: str) -> None:
    answer = CALLER.get(url, headers={"range": "bytes=0-3"})
    assert (answer.status_code, answer.text) == (206, KEY[:4])


@pytest.mark.live
def test_a_link_works_on_the_real_service_and_bears_no_change() -> None:
    with live_s3() as (place, store):
        store.put("link.csv", b"a,b\r\n", metadata={FILENAME: quote("报表 1.csv")})
        url = S3Links(place, clock=SystemClock()).mint_link("link.csv", filename="报表 1.csv", expires_at=time() + 60)
        answer = CALLER.get(url)
        assert (answer.status_code, answer.content) == (200, b"a,b\r\n")
        assert filename_of(answer) == "报表 1.csv"
        assert CALLER.get(url.replace("link.csv", "other.csv")).status_code in (403, 404)
