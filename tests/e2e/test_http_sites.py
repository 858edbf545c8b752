"""Without keys: what pages of other sites could send through a browser. And queries that are no text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.http_client import PROBLEM, ApiClient, HttpRelay, code_of, definition, http_relay
from tests.support.running_service import eventually, serving

CALLS = [
    ("POST", ""),
    ("GET", ""),
    ("POST", "/stream?format=csv"),
    ("GET", "/{id}"),
    ("GET", "/{id}/events"),
    ("GET", "/{id}/file"),
    ("PUT", "/{id}/batches/1"),
    ("POST", "/{id}/close"),
    ("POST", "/{id}/render"),
    ("DELETE", "/{id}"),
]
PAGES = ["/", "/docs", "/openapi.json", "/problems/INTERNAL", "/health/live", "/v1/files/x.y", "/v1/nothing", "/docs/"]
MONITORING = ["/metrics", "/health/live", "/health/ready", "/health/dependencies", "/nothing"]
OWN_HOSTS = ("127.0.0.1", "127.0.0.1:1", "127.8.9.1", "localhost", "LOCALHOST:9092", "[::1]", "[::1]:1")
FOREIGN_HOSTS = ("evil.example", "evil.example:9091", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]:1")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay"), open_door=True) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    return relay.stranger()


@pytest.mark.parametrize(("method", "rest"), CALLS)
def test_a_foreign_name_for_this_machine_gets_nothing(client: ApiClient, method: str, rest: str) -> None:
    for host in FOREIGN_HOSTS:
        answer = client.request(method, "/v1/exports" + rest.replace("{id}", "a" * 26), headers={"Host": host})
        assert (answer.status_code, code_of(answer), answer.json()["field"]) == (403, "PERMISSION_DENIED", "Host"), host


@pytest.mark.parametrize("path", PAGES)
def test_pages_and_links_too(client: ApiClient, path: str) -> None:
    for host in FOREIGN_HOSTS:
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, code_of(answer), answer.json()["field"]) == (403, "PERMISSION_DENIED", "Host"), host
        assert answer.json()["request_id"]
    expected = client.get(path).status_code
    for host in OWN_HOSTS:
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == expected, host
        assert answer.headers["content-type"] != PROBLEM or answer.json().get("field") != "Host"


@pytest.mark.slow
def test_the_port_for_health_and_metrics_has_the_same_rule(tmp_path: Path) -> None:
    """It answers under the names of this machine and of ``public_url``, and once there is a key under any."""
    env = {"SLUICE_SERVER_PUBLIC_URL": "http://own.example:1"}
    with serving(tmp_path / "data", env=env) as service:
        url = f"http://127.0.0.1:{service.metrics_port}"

        def status(path: str, host: str) -> int:
            return CALLER.get(f"{url}{path}", headers={"Host": host}).status_code

        for path in MONITORING:
            expected = 404 if path == "/nothing" else 200
            assert {status(path, host) for host in FOREIGN_HOSTS} == {403}, path
            assert {status(path, host) for host in (*OWN_HOSTS, "own.example")} == {expected}, path
        answer = CALLER.get(f"{url}/metrics", headers={"Host": "evil.example"})
        assert (answer.json()["code"], answer.json()["field"]) == ("PERMISSION_DENIED", "Host")
        assert "sluice_build_info" not in answer.text
        sluice("keys", "add", "acme", "--yes", "--data", service.data)
        eventually(lambda: status("/metrics", "prometheus.internal:9092") == 200)


@pytest.mark.parametrize(("method", "rest"), [call for call in CALLS if call[0] != "GET"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_a_page_of_another_site_changes_nothing(
    client: ApiClient, method: str, rest: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, "/v1/exports" + rest.replace("{id}", "a" * 26), headers=headers)
    assert (answer.status_code, code_of(answer), answer.json()["field"]) == (403, "PERMISSION_DENIED", "Origin")


def test_own_names_own_pages_and_programs_go_on(client: ApiClient) -> None:
    port = client.relay.port
    for headers in (
        {},
        {"Host": f"localhost:{port}"},
        {"Host": "[::1]:1"},
        {"Host": "LOCALHOST"},
        {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert client.post("/v1/exports", json=definition(), headers=headers).status_code == 201, headers


def test_with_keys_any_name_leads_here(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        headers = {"Host": "exports.example.com", "Origin": "https://shop.example.com"}
        assert relay.client().post("/v1/exports", json=definition(), headers=headers).status_code == 201


@pytest.mark.parametrize(("method", "rest"), CALLS)
@pytest.mark.parametrize("query", ["columns=caf%E9", "caf%E9=1", "x=1&state=%ff", "a=%C3", "a=%ED%A0%80"])
def test_a_query_that_is_not_utf_8_is_refused(client: ApiClient, method: str, rest: str, query: str) -> None:
    path = "/v1/exports" + rest.partition("?")[0].replace("{id}", "a" * 26)
    answer = client.request(method, f"{path}?{query}")
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_TEXT")
    assert answer.json()["field"]


def test_a_preflight_of_another_site_is_answered_for_watch_addresses_alone(client: ApiClient) -> None:
    page = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site", "Access-Control-Request-Method": "GET"}
    for path in ("/v1/exports", "/v1/exports/x", "/v1/files/x", "/docs", "/", "/v1/watching/x"):
        answer = client.options(path, headers=page)
        assert (answer.status_code, code_of(answer), answer.json()["field"]) == (403, "PERMISSION_DENIED", "Origin"), (
            path
        )
    assert client.options("/v1/watch/x", headers=page).status_code == 204
    for host in FOREIGN_HOSTS:
        assert client.options("/v1/watch/x", headers={**page, "Host": host}).status_code == 403
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, "/v1/watch/x", headers=page).status_code == 403
