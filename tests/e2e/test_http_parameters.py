"""Query parameters over HTTP: what is not known, or cannot be read, is refused with what is allowed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.http_client import ApiClient, HttpRelay, code_of, http_relay


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/exports?status=open", ["cursor", "limit", "request_id", "state"]),
        ("/v1/exports/{task}?wait=0&Wait=5", ["wait"]),
        ("/v1/exports/{task}/events?since=1", []),
        ("/v1/exports/{task}/file?redirct=false", ["life_s", "redirect"]),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(client: ApiClient, path: str, known: list[str]) -> None:
    answer = client.get(path.format(task=client.open()))
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_REQUEST")
    assert answer.json()["known"] == known


def test_a_write_with_an_unknown_parameter_changes_nothing(client: ApiClient) -> None:
    task_id = client.open()
    assert client.post(f"/v1/exports/{task_id}/close?force=true").status_code == 400
    assert client.delete(f"/v1/exports/{task_id}?really=yes").status_code == 400
    assert client.get(f"/v1/exports/{task_id}").json()["state"] == "open"


def test_an_unknown_parameter_of_a_stranger_is_not_looked_at(relay: HttpRelay) -> None:
    assert relay.stranger().get("/v1/exports?status=open").status_code == 401


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        (
            "state=ready",
            "'open', 'waiting', 'reading', 'sealed', 'composing', 'completed', 'failed', 'cancelled' or 'expired'",
        ),
        ("limit=0", "greater than or equal to 1"),
        ("limit=many", "a valid integer"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_what_is_allowed(
    client: ApiClient, query: str, allowed: str
) -> None:
    answer = client.get(f"/v1/exports?{query}")
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_REQUEST")
    assert allowed in answer.json()["detail"]
    assert query.partition("=")[2] not in answer.json()["detail"].replace("equal to 1", "")


@pytest.mark.parametrize(
    ("method", "path", "field", "allowed"),
    [
        ("GET", "/{task}/file?redirect=perhaps", "redirect", "redirect should be true or false"),
        ("GET", "/{task}?wait=soon", "wait", "wait should be a valid number"),
        ("GET", "?limit=501", "limit", "limit should be less than or equal to 500"),
        ("GET", "?limit=1&limit=2", "limit", "limit is given twice"),
        ("POST", "/stream", "format", "format is required"),
        ("POST", "/stream?format=csv&line_ending=cr", "line_ending", "line_ending should be 'crlf' or 'lf'"),
        ("POST", "/stream?format=csv&expected_rows=null", "expected_rows", "expected_rows should be a valid integer"),
    ],
)
def test_a_refusal_names_the_parameter_and_what_it_may_be(
    client: ApiClient, method: str, path: str, field: str, allowed: str
) -> None:
    answer = client.request(method, f"/v1/exports{path.format(task=client.open())}")
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_REQUEST")
    assert (answer.json()["field"], answer.json()["detail"]) == (field, allowed)


def test_a_switch_is_true_or_false_for_every_parameter(client: ApiClient) -> None:
    task_id = client.open()
    client.finish(task_id)
    for text, status in (("true", 302), ("1", 302), ("false", 200), ("0", 200), ("no", 400), ("off", 400)):
        assert client.get(f"/v1/exports/{task_id}/file?redirect={text}").status_code == status, text


def test_head_of_a_file_answers_as_get_does(client: ApiClient) -> None:
    task_id = client.open()
    for method in ("GET", "HEAD"):
        assert client.request(method, f"/v1/exports/{task_id}/file").status_code == 409
    client.put_rows(task_id, 1, [[1, "a"]])
    client.finish(task_id)
    get, head = (client.request(method, f"/v1/exports/{task_id}/file") for method in ("GET", "HEAD"))
    assert (get.status_code, head.status_code, head.content) == (302, 302, b"")
    assert head.headers["Location"].startswith(client.relay.url)
