"""Downloads through signed links: whole, in parts, by nobody else, for no longer than they last."""

from __future__ import annotations

import csv
import io
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sluice.domain.limits import KIB, MIB
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.http_client import ApiClient, HttpRelay, code_of, http_relay

ROWS = [[number, f"name {number}"] for number in range(2_000)]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture(scope="module")
def task_id(relay: HttpRelay) -> str:
    return finished(relay.client())


@pytest.fixture
def url(relay: HttpRelay, task_id: str) -> str:
    return link(relay.client(), task_id)


@pytest.fixture
def whole(relay: HttpRelay, task_id: str) -> bytes:
    return relay.memory.file(task_id)


def finished(client: ApiClient, **how: Any) -> str:
    made = client.open(**how)
    assert client.put_rows(made, 1, ROWS).status_code == 200
    client.finish(made)
    return made


def link(client: ApiClient, made: str) -> str:
    return str(client.get(f"/v1/exports/{made}/file?redirect=false").json()["url"])


def large_file(relay: HttpRelay) -> tuple[str, bytes]:
    """The link and the bytes of a file that no socket's buffer holds."""
    client = relay.client()
    made = client.open(columns=[{"name": "a"}])
    for sequence in range(1, 4):
        client.put_rows(made, sequence, [["x" * 1_000 + str(row)] for row in range(3_000)])
    client.finish(made)
    return link(client, made), relay.memory.file(made)


def get(relay: HttpRelay, url: str, **headers: str) -> httpx.Response:
    return relay.stranger().get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_link_of_a_redirect_serves_the_file_to_whoever_holds_it(
    relay: HttpRelay, task_id: str, whole: bytes
) -> None:
    redirect = relay.client().get(f"/v1/exports/{task_id}/file")
    assert (redirect.status_code, redirect.headers["Cache-Control"]) == (302, "no-store")
    answer = get(relay, redirect.headers["Location"])
    assert answer.status_code == 200
    assert answer.content == whole
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"orders.csv\"; filename*=UTF-8''orders.csv"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == str(len(whole))
    text = answer.content.decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == len(ROWS) + 1


def test_a_head_says_the_same_without_the_file(relay: HttpRelay, url: str, whole: bytes) -> None:
    answer = relay.stranger().head(url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(whole))
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=5-99999999", 5, None),
        ("bytes=-99999999", 0, None),
        ("bytes = 3 - 4", 3, 5),
    ],
)
def test_a_range_is_served(relay: HttpRelay, url: str, whole: bytes, asked: str, start: int, end: int | None) -> None:
    answer = get(relay, url, Range=asked)
    part = whole[start:end]
    is_whole = len(part) == len(whole)
    assert (answer.status_code, answer.content) == (200 if is_whole else 206, part)
    if not is_whole:
        first = whole.index(part) if start in {0, -7} else start
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{len(whole)}"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_the_file_does_not_have_is_refused(relay: HttpRelay, url: str, whole: bytes, asked: str) -> None:
    answer = relay.stranger().get(url, headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")
    assert code_of(answer) == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "asked", ["bytes=1-2,4-5", "rows=1-2", "bytes=5-2", "bytes=-", "bytes=x-", "bytes=1-99999999999999999999"]
)
def test_a_range_that_is_not_understood_is_answered_with_the_whole(
    relay: HttpRelay, url: str, whole: bytes, asked: str
) -> None:
    answer = get(relay, url, Range=asked)
    assert (answer.status_code, answer.content) == (200, whole)


def test_a_download_that_broke_off_goes_on_only_in_the_same_file(relay: HttpRelay, url: str, whole: bytes) -> None:
    tag = get(relay, url).headers["ETag"]
    assert get(relay, url, Range="bytes=100-", If_Range=tag).content == whole[100:]
    assert get(relay, url, Range="bytes=100-", If_Range='"other"').content == whole
    assert get(relay, url, If_None_Match=tag).status_code == 304


def test_a_large_file_comes_whole_in_blocks(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        url, whole = large_file(relay)
        assert len(whole) > 8 * MIB
        assert get(relay, url).content == whole


def reading_connection(relay: HttpRelay, url: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", relay.port))
    connection.sendall(f"GET {url.removeprefix(relay.url)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def read_all(connection: socket.socket) -> int:
    """How many bytes come until the other side closes."""
    size = 0
    with suppress(ConnectionError):
        while block := connection.recv(64 * KIB):
            size += len(block)
    return size


def test_s19_a_caller_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    with http_relay(tmp_path, idle_s=0.3) as relay:
        url, whole = large_file(relay)
        with reading_connection(relay, url) as connection:
            time.sleep(1.5)
            assert read_all(connection) < len(whole)


def test_s19_a_caller_that_reads_slowly_is_not_dropped(tmp_path: Path) -> None:
    with http_relay(tmp_path, idle_s=0.5) as relay:
        url, whole = large_file(relay)
        with reading_connection(relay, url) as connection:
            size = 0
            for _ in range(8):
                size += len(connection.recv(512 * KIB))
                time.sleep(0.2)
            assert size + read_all(connection) > len(whole)


def test_downloads_under_way_have_a_share_and_leave_the_rest_to_callers_with_keys(tmp_path: Path) -> None:
    with http_relay(tmp_path, requests_max=10) as relay, ExitStack() as stack:  # 4 downloads, 2 of a tenant
        url, whole = large_file(relay)
        client, other = relay.client(), relay.client("other")
        slow = [stack.enter_context(reading_connection(relay, url)) for _ in range(2)]
        assert all(one.recv(12) == b"HTTP/1.1 200" for one in slow)
        for method in ("GET", "HEAD"):
            refused = httpx.request(method, url, trust_env=False, verify=False, timeout=30)
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "1"
            assert refused.headers["Connection"] == "close"
        assert get(relay, url).json()["tenant_max"] == 2
        assert get(relay, link(other, finished(other))).status_code == 200
        assert client.get("/v1/exports").status_code == 200
        assert read_all(slow.pop()) + 12 > len(whole)
        for _ in range(10_000):
            if get(relay, url).status_code == 200:
                break
        assert get(relay, url).content == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url + "x",
        lambda url: url[:-3] + ("BB=" if url.endswith("AA=") else "AA="),
        lambda url: url.replace("/v1/files/", "/v1/files/A"),
        lambda url: url.partition(".csv")[0] if ".csv" in url else url.rpartition(".")[0],
        lambda url: url.rpartition("/")[0] + "/x.y",
        lambda url: url + "?response-content-type=text/html",
        lambda url: url + "?x",
    ],
)
def test_s12_and_s13_a_link_that_was_changed_is_refused(relay: HttpRelay, url: str, change: Any) -> None:
    answer = get(relay, change(url))
    assert (answer.status_code, code_of(answer)) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_s13_a_link_is_for_reading(relay: HttpRelay, url: str, method: str) -> None:
    answer = relay.stranger().request(method, url)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_s13_a_link_dies_in_its_time(tmp_path: Path) -> None:
    clock = FakeClock()
    with http_relay(tmp_path, clock=clock) as relay:
        client = relay.client()
        made = finished(client)
        answer = client.get(f"/v1/exports/{made}/file?redirect=false").json()
        assert answer["expires_at"].endswith("Z")
        clock.advance(relay.memory.ports.timings.link_s - 1)
        assert get(relay, answer["url"]).status_code == 200
        clock.advance(2)
        expired = get(relay, answer["url"])
        assert (expired.status_code, code_of(expired)) == (410, "EXPIRED")
        assert get(relay, link(client, made)).status_code == 200


def test_a_file_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        client = relay.client()
        made = finished(client)
        url = link(client, made)
        relay.memory.store.delete([relay.memory.row(made).result_key])
        answer = get(relay, url)
        assert (answer.status_code, code_of(answer)) == (500, "RESULT_MISSING")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"format": "xlsx"}, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ({"format": "csv", "options": {"compression_enabled": True}}, "application/gzip"),
    ],
)
def test_every_format_has_its_media_type(relay: HttpRelay, options: dict[str, Any], kind: str) -> None:
    client = relay.client()
    assert get(relay, link(client, finished(client, **options))).headers["Content-Type"] == kind


@pytest.mark.parametrize(
    "name",
    ["a\r\nSet-Cookie: x=1", 'a";filename="b.exe', "报表 (1)", "\u202efdp.exe", "+ADw-script+AD4-", "a\0b", "../../x"],
)
def test_s11_a_file_name_makes_one_header_with_one_name(relay: HttpRelay, name: str) -> None:
    client = relay.client()
    made = finished(client, filename=name)
    sent = client.get(f"/v1/exports/{made}").json()["filename"]
    answer = get(relay, link(client, made))
    (value,) = answer.headers.get_list("Content-Disposition")
    assert "set-cookie" not in answer.headers
    fallback, _, encoded = value.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
    assert '"' not in fallback
    assert encoded == quote(sent, safe="!#$&+-.^_`|~")


def test_two_exports_of_one_content_have_one_file_whose_links_work_until_both_are_deleted(relay: HttpRelay) -> None:
    client, ports = relay.client("shares"), relay.memory.ports

    def sweep() -> None:
        while set(sweep_tasks(ports, memory=SweepMemory(trusts_clock=True))) - {Swept.NOTHING}:
            pass

    first, second = (finished(client, filename=name) for name in ("first", "second"))
    assert relay.memory.row(second, "shares").result_key == relay.memory.row(first, "shares").result_key
    url, content = link(client, second), relay.memory.file(first, "shares")
    of_first = link(client, first)
    assert client.delete(f"/v1/exports/{first}").status_code == 204
    assert client.get(of_first).status_code == 410
    sweep()
    served = client.get(url)
    assert (served.status_code, served.content) == (200, content)
    assert 'filename="second.' in served.headers["content-disposition"]
    assert client.delete(f"/v1/exports/{second}").status_code == 204
    sweep()
    assert client.get(url).status_code == 410
    finished(client)
    assert relay.memory.row(finished(client, options={"reuse": False}), "shares").result_of == ""
