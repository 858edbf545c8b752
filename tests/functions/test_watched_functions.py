"""Watch addresses in the cloud: the relay gives them out, the query function, which can change nothing, answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.cloud_functions import (
    FUNCTIONS,
    Cloud,
    WebFunctionProcess,
    client_of,
    invoke_in_process,
    serving_cloud,
    web_function,
)
from tests.support.http_calls import CALLER

RELAY, QUERY = str(FUNCTIONS / "relay/relay.py"), str(FUNCTIONS / "query/query.py")
ADDRESS = "https://api.example.com"
WATCHED = {"SLUICE_SERVER_PUBLIC_URL": ADDRESS, "SLUICE_SECURITY_WATCH_SECRET": "w" * 32}
OPEN = {"format": "csv", "filename": "orders.csv", "columns": ["id"]}
PAGE = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
"""What a browser says on a page of another site, which has no key."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with serving_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def token(cloud: Cloud) -> str:
    return cloud.add_key()


@pytest.fixture(scope="module")
def relay(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebFunctionProcess]:
    log = tmp_path_factory.mktemp("relay") / "relay.log"
    with web_function([RELAY, "http"], {**cloud.settings(), **WATCHED}, log) as function:
        yield function


@pytest.fixture(scope="module")
def query(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebFunctionProcess]:
    log = tmp_path_factory.mktemp("query") / "query.log"
    with web_function([QUERY], {**cloud.settings(), **WATCHED}, log) as function:
        yield function


def opened(sender: httpx.Client) -> dict[str, Any]:
    answer = sender.post("/v1/exports", json=OPEN)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_page_follows_an_export_to_its_file_at_the_function_that_changes_nothing(
    cloud: Cloud, token: str, relay: WebFunctionProcess, query: WebFunctionProcess
) -> None:
    events: list[dict[str, Any]] = []
    cloud.oss.listen(events.append)
    with client_of(relay, cloud, token) as sender, client_of(query, cloud, None, **PAGE) as page:
        export = opened(sender)
        assert export["watch_url"].startswith(f"{ADDRESS}/v1/watch/")
        task_id, address = export["task_id"], urlsplit(export["watch_url"]).path
        seen = page.get(address)
        assert (seen.status_code, seen.json()["task_id"], seen.json()["state"]) == (200, task_id, "open")
        assert seen.headers["access-control-allow-origin"] == "*"
        asked = page.options(address, headers={"Access-Control-Request-Method": "GET"})
        assert asked.status_code in {200, 204}
        assert "If-None-Match" in asked.headers["access-control-allow-headers"]
        assert sender.put(f"/v1/exports/{task_id}/batches/1", json=[["7"]]).status_code == 200
        assert sender.post(f"/v1/exports/{task_id}/close", json={"batches": 1, "rows": 1}).status_code == 202
        cloud.oss.settle()
        (trigger,) = [event for event in events if f"{task_id}/m/" in event["events"][0]["oss"]["object"]["key"]]
        invoke_in_process("compose", [json.dumps(trigger)], {**cloud.settings(), **cloud.credentials()})
        seen = page.get(address)
        assert (seen.json()["state"], seen.json()["download_path"]) == ("completed", f"{address}/file")
        assert '"completed"' in page.get(f"{address}/events").text
        link = page.get(f"{address}/file").headers["location"]
        assert page.get(f"/v1/exports/{task_id}").status_code == 401  # the address opens nothing else
    assert CALLER.get(link).content == b"\xef\xbb\xbfid\r\n7\r\n"
    logs = relay.log.read_text() + query.log.read_text()
    assert [secret for secret in (WATCHED["SLUICE_SECURITY_WATCH_SECRET"], address) if secret in logs] == []


def test_what_another_secret_signed_opens_nothing(
    cloud: Cloud, token: str, relay: WebFunctionProcess, query: WebFunctionProcess
) -> None:
    with client_of(relay, cloud, token) as sender, client_of(query, cloud, None, **PAGE) as page:
        address = urlsplit(opened(sender)["watch_url"]).path
        payload, _, signature = address.rpartition(".")
        for forged in (f"{payload}.{signature[::-1]}", f"{payload[:-1]}.{signature}", "/v1/watch/x"):
            refused = page.get(forged)
            assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("without", sorted(WATCHED))
def test_without_a_secret_or_an_address_of_its_own_a_relay_gives_none_out(
    cloud: Cloud, token: str, tmp_path: Path, without: str
) -> None:
    watched = {name: value for name, value in WATCHED.items() if name != without}
    with (
        web_function([RELAY, "http"], {**cloud.settings(), **watched}, tmp_path / "relay.log") as relay,
        client_of(relay, cloud, token) as sender,
    ):
        assert opened(sender)["watch_url"] is None
        assert sender.get("/v1/watch/x").status_code == 404
