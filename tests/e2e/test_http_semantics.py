"""What HTTP itself promises (RFC 9110, 9112), and what a caller finds who knows only the address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sluice.domain.errors import MEANINGS, ErrorCode
from tests.support.http_client import ApiClient, HttpRelay, definition, http_relay


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


def finished(client: ApiClient, **how: Any) -> str:
    task_id = client.open(**how)
    assert client.put_rows(task_id, 1, [[1, "x"]]).status_code == 200
    client.finish(task_id)
    return task_id


def link_of(client: ApiClient, task_id: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/exports/{task_id}/file", params={"redirect": "false", **query})
    assert answer.status_code == 200, answer.text
    link: dict[str, Any] = answer.json()
    return link


def raw(relay: HttpRelay, request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", relay.port), timeout=60) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "text/csv; charset=utf-8"),
        ({"csv_encoding": "gbk"}, "text/csv; charset=gbk"),
        ({"csv_encoding": "utf-16"}, "text/csv; charset=utf-16"),
        ({"csv_encoding": "gbk", "compression_enabled": True}, "application/gzip"),
    ],
)
def test_a_local_link_says_the_encoding_of_its_file(
    client: ApiClient, relay: HttpRelay, options: dict[str, Any], kind: str
) -> None:
    url = link_of(client, finished(client, format="csv", options=options))["url"]
    assert relay.stranger().get(url).headers["Content-Type"].lower() == kind


def test_a_range_is_for_get_alone_and_its_unit_has_no_case(client: ApiClient, relay: HttpRelay) -> None:
    url = link_of(client, finished(client, format="csv"))["url"]
    stranger = relay.stranger()
    whole = stranger.get(url).content
    head = stranger.head(url, headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(whole)))
    part = stranger.get(url, headers={"Range": "Bytes=0-1"})
    assert (part.status_code, part.content) == (206, whole[:2])


def test_if_match_is_evaluated_before_the_file_is_sent(client: ApiClient, relay: HttpRelay) -> None:
    url = link_of(client, finished(client, format="csv"))["url"]
    stranger = relay.stranger()
    etag = stranger.get(url).headers["ETag"]
    for tags, status in ((etag, 200), ("*", 200), (f'"other", {etag}', 200), ('"other"', 412), (f"W/{etag}", 412)):
        assert stranger.get(url, headers={"If-Match": tags}).status_code == status
    assert stranger.get(url, headers={"If-Match": etag, "If-None-Match": etag}).status_code == 304


CALLS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("PUT", "/batches/1", [[1, "x"]]),
    ("POST", "/close", {}),
    ("POST", "/render", {}),
    ("POST", "/cancel", {}),
    ("GET", "/file", None),
]


@pytest.mark.parametrize(("method", "rest", "body"), CALLS, ids=str)
def test_if_match_lets_nothing_happen_to_an_export_but_what_would_fail_anyway(
    client: ApiClient, method: str, rest: str, body: Any
) -> None:
    """A caller that says "only if it is still so" is not overruled; weak tags never match."""
    task_id = client.open()
    seen = client.get(f"/v1/exports/{task_id}")
    for tags in (
        seen.headers["ETag"],
        seen.headers["ETag"].removeprefix("W/"),
        '"other"',
        f"*, {seen.headers['ETag']}",
    ):
        refused = client.request(method, f"/v1/exports/{task_id}{rest}", json=body, headers={"If-Match": tags})
        assert (refused.status_code, refused.json()["field"]) == (412, "If-Match")
    assert client.get(f"/v1/exports/{task_id}").json() == seen.json()
    unknown = client.request(method, f"/v1/exports/{'a' * 26}{rest}", json=body, headers={"If-Match": '"other"'})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "TASK_NOT_FOUND")
    known = client.request(method, f"/v1/exports/{task_id}{rest}", json=body, headers={"If-Match": "*"})
    assert known.status_code != 412


def test_options_say_what_a_path_takes_and_star_is_the_server(relay: HttpRelay) -> None:
    for target, methods in (
        (b"*", b"DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        (b"/v1/exports", b"GET, OPTIONS, POST"),
        (b"/v1/exports/x/batches/1", b"OPTIONS, PUT"),
        (b"/docs", b"GET, HEAD, OPTIONS"),
    ):
        said = raw(relay, b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 204 "), target
        assert b"\r\nallow: " + methods + b"\r\n" in said
    for target in (b"/nothing", b"/v1/nothing"):
        said = raw(relay, b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 404 ")


def test_a_method_that_http_does_not_have_is_not_implemented(relay: HttpRelay) -> None:
    for method, status in ((b"BREW", 501), (b"options", 501), (b"PATCH", 405), (b"TRACE", 405)):
        said = raw(relay, method + b" /v1/exports HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 %d " % status), method
        assert b"\r\nallow: GET, OPTIONS, POST\r\n" in said
    assert raw(relay, b"GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 404 ")


def test_a_request_with_two_lengths_is_refused_and_its_connection_closed(client: ApiClient, relay: HttpRelay) -> None:
    bearer = client.headers["Authorization"].encode()
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    said = raw(
        relay,
        b"POST /v1/exports HTTP/1.1\r\nHost: a\r\nAuthorization: " + bearer + b"\r\nContent-Type: application/json\r\n"
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
    )
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in said.lower()


@pytest.mark.parametrize(
    "target", [b"http://elsewhere.example/health/live", b"HTTP://elsewhere.example:80/health/live"]
)
def test_an_absolute_target_is_its_path(relay: HttpRelay, target: bytes) -> None:
    said = raw(relay, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    home = raw(relay, b"GET http://elsewhere.example HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert home.startswith(b"HTTP/1.1 200 ")


def test_every_answer_has_a_date_and_a_missing_host_is_refused(relay: HttpRelay) -> None:
    assert b"\r\ndate: " in raw(relay, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").lower()
    assert raw(relay, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_who_knows_only_the_address_finds_a_page_and_the_life(relay: HttpRelay) -> None:
    with httpx.Client(verify=False, base_url=relay.url, trust_env=False, timeout=60) as stranger:
        page = stranger.get("/")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        for path in ("/docs", "/openapi.json", "/health/live"):
            assert f'href="{path}"' in page.text
            assert stranger.get(path).status_code == 200


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_type_of_problem_has_a_page(relay: HttpRelay, code: ErrorCode) -> None:
    with httpx.Client(verify=False, base_url=relay.url, trust_env=False, timeout=60) as stranger:
        page = stranger.get(f"/problems/{code}")
        assert page.status_code == 200
        assert code in page.text
        assert MEANINGS[code].who in page.text


def test_a_problem_names_its_page_and_no_other_is_there(relay: HttpRelay) -> None:
    with httpx.Client(verify=False, base_url=relay.url, trust_env=False, timeout=60) as stranger:
        problem = stranger.get("/v1/exports").json()
        assert (problem["type"], stranger.get(problem["type"]).status_code) == ("/problems/UNAUTHENTICATED", 200)
        assert stranger.get("/problems/NONE").status_code == 404


def test_an_open_that_is_repeated_and_a_call_of_its_own_say_which_batches_are_stored(client: ApiClient) -> None:
    task_id = client.open(key="again")
    assert client.get(f"/v1/exports/{task_id}/batches").json() == {
        "state": "open",
        "batches": 0,
        "rows": 0,
        "stored": [],
    }
    for sequence in (7, 1, 2, 4, 3):
        assert client.put_rows(task_id, sequence, [[sequence, "x"]]).status_code == 200
    stored = client.get(f"/v1/exports/{task_id}/batches").json()
    assert stored == {"state": "open", "batches": 5, "rows": 5, "stored": [[1, 4], [7, 7]]}
    again = client.post("/v1/exports", json=definition(), headers={"Idempotency-Key": "again"}).json()
    assert (again["task_id"], again["stored"]) == (task_id, [[1, 4], [7, 7]])
    assert client.get(f"/v1/exports/{'a' * 26}/batches").status_code == 404


def test_a_link_lives_as_long_as_asked_for_and_no_longer_than_the_file(client: ApiClient, relay: HttpRelay) -> None:
    task_id = finished(client, format="csv")
    task = relay.memory.row(task_id, client.tenant)
    ends = [link_of(client, task_id, life_s=seconds)["expires_at"] for seconds in (1, 3_600, 10_000_000)]
    assert ends == sorted(set(ends))
    week_s = 7 * 24 * 3_600
    assert min(task.expires_at - task.finished_at, week_s) > 3_600
    for wrong in ("0", "-1", "nan", "inf", "soon"):
        answer = client.get(f"/v1/exports/{task_id}/file", params={"life_s": wrong})
        assert (answer.status_code, answer.json()["field"]) == (400, "life_s")
    assert urlsplit(link_of(client, task_id)["url"]).path.startswith("/v1/files/")
