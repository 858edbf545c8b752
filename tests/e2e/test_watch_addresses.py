"""A watch address shows one export to whoever has it, from a page of any site, and opens nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from sluice.adapters.directory.links import LocalLinks, WatchAddresses
from sluice.adapters.system_clock import SystemClock
from sluice.api.http.app import RouteSet, operations_of
from sluice.api.http.watches import OF_ADDRESS_MAX
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from tests.support.http_calls import CALLER
from tests.support.http_client import SECRET, ApiClient, HttpRelay, code_of, definition, http_relay

PAGE = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
FOR_ANY_SITE = "access-control-allow-origin"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("watch")) as running:
        yield running


def opened(client: ApiClient, **how: object) -> tuple[str, str]:
    """An export's id and the path of its watch address."""
    answer = client.post("/v1/exports", json=definition(**how)).json()
    address = urlsplit(answer["watch_url"])
    assert f"{address.scheme}://{address.netloc}" == client.relay.url
    return answer["task_id"], address.path


def finish(client: ApiClient, task_id: str, rows: object = (("1",),)) -> None:
    assert client.put_rows(task_id, 1, rows).status_code == 200
    assert client.post(f"/v1/exports/{task_id}/close").status_code == 202
    assert client.get(f"/v1/exports/{task_id}?wait=20").json()["state"] == "completed"


def test_who_has_the_address_sees_the_export_and_fetches_its_file_without_a_key(relay: HttpRelay) -> None:
    client, page = relay.client("watched"), relay.stranger()
    task_id, address = opened(client, format="csv", columns=["id"])
    seen = page.get(address)
    assert (seen.status_code, seen.json()["state"], seen.json()["task_id"]) == (200, "open", task_id)
    assert page.get(f"{address}/file").status_code == 409
    finish(client, task_id)
    seen = page.get(address, params={"wait": 20})
    assert (seen.json()["state"], seen.json()["download_path"]) == ("completed", f"{address}/file")
    assert page.get(address, headers={"If-None-Match": seen.headers["ETag"]}).status_code == 304
    link = page.get(f"{address}/file")
    assert link.status_code == 302
    assert page.get(link.headers["Location"]).content == b"\xef\xbb\xbfid\r\n1\r\n"
    assert page.get(f"{address}/file", params={"redirect": "false"}).json().keys() == {"url", "expires_at"}


def test_its_events_are_those_of_the_export_until_it_has_ended(relay: HttpRelay) -> None:
    client, page = relay.client("watched"), relay.stranger()
    task_id, address = opened(client, format="csv", columns=["id"])
    states = []
    with page.stream("GET", f"{address}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        for line in events.iter_lines():
            if line.startswith("data: "):
                seen = json.loads(line[6:])
                states.append(seen["state"])
                if len(states) == 1:
                    finish(client, task_id)
    assert (states[0], states[-1]) == ("open", "completed")
    assert seen["download_path"] == f"{address}/file"


def test_an_open_that_is_repeated_has_the_same_address_and_another_export_has_another(relay: HttpRelay) -> None:
    client = relay.client("watched")
    key = {"Idempotency-Key": "watched once"}
    first, again = (client.post("/v1/exports", json=definition(), headers=key).json()["watch_url"] for _ in range(2))
    assert first == again != client.post("/v1/exports", json=definition()).json()["watch_url"]


def test_no_other_text_is_an_address(relay: HttpRelay) -> None:
    client, page = relay.client("watched"), relay.stranger()
    task_id, address = opened(client)
    token = address.rpartition("/")[2]
    payload, _, signature = token.partition(".")
    wrong = ["", "x", f"{payload}.", f".{signature}", payload, f"{payload}.{signature}=", token.swapcase(), task_id]
    wrong += [token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token))]
    task = client.relay.memory.tasks.read(TaskRef(TenantId("watched"), TaskId(task_id)))
    assert task is not None
    assert WatchAddresses("", SECRET).mint(task).endswith(address)
    wrong.append(WatchAddresses("", b"another secret of thirty-two bytes").mint(task).rpartition("/")[2])
    link = LocalLinks("", SECRET, SystemClock()).mint_link("out/v1/aa/watched/x/f", filename="f", expires_at=1e12)
    wrong.append(link.rpartition("/")[2])  # of the same secret, for another purpose
    for text in wrong:
        for path in ("", "/events", "/file"):
            answer = CALLER.get(f"{relay.url}/v1/watch/{text}{path}")
            assert answer.status_code in {403, 404}, (text, answer.text)
    assert code_of(page.get(f"/v1/files/{token}")) == "PERMISSION_DENIED"


def test_it_takes_no_method_that_changes_anything_and_no_key_goes_with_it(relay: HttpRelay) -> None:
    client = relay.client("watched")
    task_id, address = opened(client)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("", "/events", "/file", "/batches/1", "/close", "/cancel"):
            answer = CALLER.request(method, f"{relay.url}{address}{path}")
            assert answer.status_code in {404, 405}, (method, path, answer.text)
    assert client.get(f"/v1/exports/{task_id}").json()["state"] == "open"


def test_pages_of_other_sites_read_watch_addresses_errors_included_and_nothing_else(relay: HttpRelay) -> None:
    client = relay.client("watched")
    _, address = opened(client)
    for path in (address, f"{address}/file", f"{address}x", f"{address}/none"):
        answer = CALLER.get(f"{relay.url}{path}", headers=PAGE)
        assert answer.headers[FOR_ANY_SITE] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    asked = {**PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"}
    preflight = httpx.options(f"{relay.url}{address}", headers=asked, trust_env=False)
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    assert "If-None-Match" in preflight.headers["access-control-allow-headers"]
    others = {one.path for one in operations_of(RouteSet.ALL) if not one.path.startswith("/v1/watch/")}
    for path in {"/", "/docs", "/openapi.json", "/health/live", *others}:
        url = relay.url + path.format(task_id="x", sequence=1, token="x", name="x", job="x", run_id="x")
        for method in ("GET", "OPTIONS", "HEAD"):
            answer = CALLER.request(method, url, headers=asked)
            assert not [name for name in answer.headers if name.startswith("access-control")], (method, path)


def test_it_ends_with_the_export(relay: HttpRelay) -> None:
    client, page = relay.client("watched"), relay.stranger()
    task_id, address = opened(client, format="csv", columns=["id"])
    finish(client, task_id)
    assert client.delete(f"/v1/exports/{task_id}").status_code == 204
    assert code_of(page.get(f"{address}/file")) in {"EXPIRED", "TASK_DELETED"}
    assert page.get(address).json().get("state", "") != "completed"


def test_an_address_shows_no_later_export_of_the_same_key(relay: HttpRelay) -> None:
    """Once a row is gone the next export under its key has the same id."""
    client, page = relay.client("watched"), relay.stranger()
    key = {"Idempotency-Key": "once a month"}
    first = client.post("/v1/exports", json=definition(), headers=key).json()
    ref = TaskRef(TenantId("watched"), TaskId(first["task_id"]))
    row = relay.memory.tasks.read(ref)
    assert row is not None
    assert relay.memory.tasks.remove(ref, Guard(state=row.state, rev=row.rev))
    second = client.post("/v1/exports", json=definition(), headers=key).json()
    assert second["task_id"] == first["task_id"]
    for end in ("", "/events", "/file"):
        answer = page.get(urlsplit(first["watch_url"]).path + end)
        assert (answer.status_code, code_of(answer)) == (404, "TASK_NOT_FOUND")
    assert page.get(urlsplit(second["watch_url"]).path).json()["state"] == "open"


def test_those_who_watch_leave_callers_with_keys_and_downloads_alone(tmp_path: Path) -> None:
    """One address, one tenant, and all who watch together have a bound each."""
    with http_relay(tmp_path, requests_max=200, connections_max=400) as small, ExitStack() as stack:
        client, other = small.client("watched"), small.client("another")
        task_id, _ = opened(client, format="csv", columns=["id"])
        finish(client, task_id)
        link = client.get(f"/v1/exports/{task_id}/file").headers["Location"]
        limits = httpx.Limits(max_connections=None)
        pages = stack.enter_context(httpx.Client(verify=False, base_url=small.url, trust_env=False, limits=limits))

        def watching(path: str, count: int) -> int:
            """How many of so many are let in, and stay."""
            streams = [
                stack.enter_context(pages.stream("GET", f"{path}/events", headers={"Connection": "close"}))
                for _ in range(count)
            ]
            assert {stream.status_code for stream in streams} <= {200, 503}
            return sum(stream.status_code == 200 for stream in streams)

        addresses = [opened(client)[1] for _ in range(3)]
        assert watching(addresses[0], OF_ADDRESS_MAX + 5) == OF_ADDRESS_MAX
        assert watching(addresses[1], 10) == 0  # a tenant has half of the forty
        for tenant, half_of_the_rest in ((other, 10), (small.client("third"), 5)):
            assert watching(opened(tenant)[1], OF_ADDRESS_MAX) == half_of_the_rest
        assert client.get(f"/v1/exports/{task_id}").status_code == 200
        assert pages.get(link).content == b"\xef\xbb\xbfid\r\n1\r\n"
