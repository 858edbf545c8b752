"""Which pages of other origins may ask for datasets: those that an operator has named, for those paths alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sluice.api.http.app import RouteSet, operations_of
from tests.support.http_calls import CALLER
from tests.support.http_client import HttpRelay, http_relay

NAMED = "https://app.example.com"
ALLOWED = (NAMED, "http://127.0.0.1:8000")
OTHERS = [
    "https://evil.example", "null", "https://APP.example.com", "https://app.example.com.evil.example", "*",
    "http://app.example.com", "https://app.example.com:8443", "https://app.example.com,https://evil.example",
]  # fmt: skip
DATASETS = ["/v1/datasets", "/v1/datasets/orders", "/v1/datasets/orders/exports", "/v1/datasets/orders/preview"]
SENT = ("content-disposition", "repr-digest", "retry-after", "sluice-rows", "sluice-task", "x-request-id")


@pytest.fixture(scope="module", params=["with keys", "without keys"])
def relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    is_open = request.param == "without keys"
    with http_relay(tmp_path_factory.mktemp("relay"), open_door=is_open, allowed_origins=ALLOWED) as running:
        yield running


def asked(relay: HttpRelay, method: str, path: str, origin: str, **headers: str) -> httpx.Response:
    """As a browser asks for a page of the origin."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CALLER.request(method, relay.url + path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", **named})


def shared(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", DATASETS)
@pytest.mark.parametrize("origin", ALLOWED)
def test_a_page_of_a_named_origin_may_call_and_read_the_answer_errors_included(
    relay: HttpRelay, path: str, origin: str
) -> None:
    preflight = asked(
        relay, "OPTIONS", path, origin, Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,content-type,idempotency-key",
    )  # fmt: skip
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-methods"] == "GET, POST"
    allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
    assert allowed == ["authorization", "content-type", "idempotency-key"]
    method = "POST" if path.endswith(("exports", "preview")) else "GET"
    answer = asked(relay, method, path, origin, Authorization="Bearer a.b.c", Content_Type="application/json")
    assert answer.json()["code"] in {"UNAUTHENTICATED", "PERMISSION_DENIED"}, answer.text
    assert "field" not in answer.json(), "it is refused for want of a user, not for its origin"
    for one in (preflight, answer):
        assert one.headers["access-control-allow-origin"] == origin
        assert one.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in one.headers
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert set(SENT) <= set(exposed)


@pytest.mark.parametrize("origin", OTHERS)
def test_a_page_of_another_origin_reads_nothing(relay: HttpRelay, origin: str) -> None:
    for path in DATASETS:
        for method in ("GET", "POST", "OPTIONS"):
            answer = asked(relay, method, path, origin, Access_Control_Request_Method="POST")
            assert shared(answer) == [], (method, path)
            assert answer.headers["vary"] == "Origin"


def test_a_named_origin_is_none_for_other_paths(relay: HttpRelay) -> None:
    others = {
        one.path for one in operations_of(RouteSet.ALL) if not one.path.startswith(("/v1/watch/", "/v1/datasets"))
    }
    for path in {"/", "/docs", "/openapi.json", "/v1/datasetsx", "/v1/datasets-of-others", *others}:
        for method in ("GET", "POST", "OPTIONS"):
            answer = asked(relay, method, path.format(task_id="x", sequence=1, token="x", job="x", run_id="x"), NAMED)
            assert shared(answer) == [], (method, path)


def test_without_keys_the_rules_for_pages_of_other_sites_are_as_they_were_elsewhere(tmp_path: Path) -> None:
    """Without keys any caller may open an export, and so could any page: no origin is named for that."""
    with http_relay(tmp_path, open_door=True, allowed_origins=ALLOWED) as relay:
        opened = asked(relay, "POST", "/v1/exports", NAMED, Content_Type="application/json")
        assert (opened.status_code, opened.json()["field"]) == (403, "Origin")
        other = asked(relay, "POST", "/v1/datasets/orders/exports", "https://evil.example")
        assert (other.status_code, other.json()["field"]) == (403, "Origin")
        foreign = asked(relay, "POST", "/v1/datasets/orders/exports", NAMED, Host="evil.example")
        assert (foreign.status_code, foreign.json()["field"]) == (403, "Host")
