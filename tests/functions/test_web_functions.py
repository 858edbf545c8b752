"""Relay and query as a custom runtime runs them: their command, their port, their headers, the unmodified SDKs."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.domain.api_key import Scope
from sluice.proto import export_pb2 as pb
from tests.support.cloud_functions import (
    CANARY,
    FUNCTIONS,
    Cloud,
    WebFunctionProcess,
    client_of,
    invoke_in_process,
    log_lines,
    serving_cloud,
    web_function,
)
from tests.support.grpc_client import GrpcClient, refused
from tests.support.http_calls import CALLER

RELAY = str(FUNCTIONS / "relay/relay.py")
QUERY = str(FUNCTIONS / "query/query.py")
COLUMNS = [{"name": "id", "type": "number"}, {"name": "name"}]
OPEN = {"columns": COLUMNS, "format": "csv", "filename": "orders.csv"}
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with serving_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def token(cloud: Cloud) -> str:
    return cloud.add_key()


@pytest.fixture(scope="module")
def relay(cloud: Cloud, token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebFunctionProcess]:
    """The HTTP relay of most tests. Its credentials come with each request and from nowhere else."""
    log = tmp_path_factory.mktemp("relay") / "relay.log"
    with web_function([RELAY, "http"], cloud.settings(), log) as function:
        yield function


@pytest.fixture(scope="module")
def query(cloud: Cloud, token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebFunctionProcess]:
    log = tmp_path_factory.mktemp("query") / "query.log"
    with web_function([QUERY], cloud.settings(), log) as function:
        yield function


def opened(client: httpx.Client) -> str:
    answer = client.post("/v1/exports", json=OPEN)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["task_id"])


def test_an_export_goes_through_relay_composer_and_query(
    cloud: Cloud, relay: WebFunctionProcess, query: WebFunctionProcess, token: str
) -> None:
    events: list[dict[str, Any]] = []
    cloud.oss.listen(events.append)
    with client_of(relay, cloud, token) as sender:
        task_id = opened(sender)
        for sequence in (2, 1, 2):
            rows = [[str(sequence * 1000 + row), f"名 {row}"] for row in range(500)]
            answer = sender.put(f"/v1/exports/{task_id}/batches/{sequence}", json=rows)
            assert answer.status_code == 200, answer.text
        assert sender.post(f"/v1/exports/{task_id}/close", json={"batches": 2, "rows": 1000}).status_code == 202
    cloud.oss.settle()
    triggers = [event for event in events if f"{task_id}/m/" in event["events"][0]["oss"]["object"]["key"]]
    invoked = invoke_in_process("compose", [json.dumps(triggers[0])], {**cloud.settings(), **cloud.credentials()})
    assert invoked.answer["outcomes"] == [{"task_id": task_id, "outcome": "completed"}], invoked.output

    with client_of(query, cloud, token) as reader:
        assert reader.get(f"/v1/exports/{task_id}").json()["state"] == "completed"
        assert [task["task_id"] for task in reader.get("/v1/exports?state=completed").json()["tasks"]] == [task_id]
        assert "event-stream" in reader.get(f"/v1/exports/{task_id}/events").headers["content-type"]
        link = reader.get(f"/v1/exports/{task_id}/file").headers["location"]
    file = CALLER.get(link)
    assert file.headers["content-disposition"].startswith('attachment; filename="orders.csv"')
    rows = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig"))))
    numbers = [1000 + row for row in range(500)] + [2000 + row for row in range(500)]
    assert rows == [["id", "name"], *[[str(number), f"名 {number % 1000}"] for number in numbers]]
    logs = relay.log.read_text() + query.log.read_text() + invoked.output
    assert [secret for secret in (cloud.oss.access_key_secret, token, "x-oss-signature") if secret in logs] == []


def test_each_batch_costs_one_put_and_one_update(cloud: Cloud, relay: WebFunctionProcess, token: str) -> None:
    with client_of(relay, cloud, token) as sender:
        task_id = opened(sender)
        cloud.oss.requests.clear()
        cloud.tablestore.requests.clear()
        for sequence in range(1, 6):
            sender.put(f"/v1/exports/{task_id}/batches/{sequence}", json=[["1", "a"]])
    assert [call.operation for call in cloud.oss.requests] == ["PutObject"] * 5
    assert [call.operation for call in cloud.tablestore.requests] == ["UpdateRow"] * 5


def test_the_relay_logs_the_platforms_request_id_and_answers_with_it(
    cloud: Cloud, relay: WebFunctionProcess, token: str
) -> None:
    with client_of(relay, cloud, token, **{"x-fc-request-id": "1-fc-77"}) as sender:
        answer = sender.post("/v1/exports", json=OPEN)
    assert answer.headers["x-request-id"] == "1-fc-77"
    lines = [line for line in log_lines(relay.log) if line["request_id"] == "1-fc-77"]
    assert "TaskCreated" in [line["event"] for line in lines]


def test_a_relay_serves_no_files_since_links_lead_to_the_store(
    cloud: Cloud, relay: WebFunctionProcess, token: str
) -> None:
    with client_of(relay, cloud, token) as sender:
        assert sender.get("/v1/files/some-token").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/v1/exports", 405, "GET, OPTIONS"),
        ("PUT", "/v1/exports", 405, "GET, OPTIONS"),
        ("DELETE", "/v1/exports/bq3vx5k2m7wabq3vx5k2m7waxy", 405, "GET, OPTIONS"),
        ("PUT", "/v1/exports/bq3vx5k2m7wabq3vx5k2m7waxy/batches/1", 404, None),
        ("POST", "/v1/exports/bq3vx5k2m7wabq3vx5k2m7waxy/close", 404, None),
        ("POST", "/v1/exports/bq3vx5k2m7wabq3vx5k2m7waxy/file", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/v1/files/token", 404, None),
        ("POST", "/invoke", 404, None),
        ("POST", "/initialize", 404, None),
    ],
)
def test_the_query_function_refuses_what_it_does_not_do(
    cloud: Cloud, query: WebFunctionProcess, token: str, method: str, path: str, status: int, allow: str | None
) -> None:
    with client_of(query, cloud, token) as reader:
        answer = reader.request(method, path, json=OPEN)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.headers.get("allow") == allow


def test_the_query_function_documents_only_what_it_has(cloud: Cloud, query: WebFunctionProcess, token: str) -> None:
    with client_of(query, cloud, token) as reader:
        paths = reader.get("/openapi.json").json()["paths"]
    assert {method for path in paths.values() for method in path} <= {"get", "head"}
    assert set(paths) == {
        "/v1/exports",
        "/v1/exports/{task_id}",
        "/v1/exports/{task_id}/batches",
        "/v1/exports/{task_id}/events",
        "/v1/exports/{task_id}/file",
    }


def test_nobody_gets_in_without_a_key_and_a_reader_may_not_write(
    cloud: Cloud, relay: WebFunctionProcess, query: WebFunctionProcess, token: str
) -> None:
    with client_of(relay, cloud, "slc_none") as stranger:
        assert stranger.post("/v1/exports", json=OPEN).status_code == 401
    with client_of(query, cloud, "no-key") as stranger:
        assert stranger.get("/v1/exports").status_code == 401


def test_one_tenants_task_does_not_exist_for_another(cloud: Cloud, tmp_path: Path) -> None:
    mine, yours = cloud.add_key("mine"), cloud.add_key("yours", Scope.READ)
    with web_function([RELAY, "http"], cloud.settings(), tmp_path / "relay.log") as function:
        with client_of(function, cloud, mine) as sender:
            task_id = opened(sender)
        with client_of(function, cloud, yours) as other:
            assert other.get(f"/v1/exports/{task_id}").status_code == 404
            assert other.post("/v1/exports", json=OPEN).status_code == 403


def test_refused_credentials_are_a_clear_answer_and_the_next_good_ones_help(
    cloud: Cloud, token: str, tmp_path: Path
) -> None:
    bad = {"x-fc-access-key-secret": CANARY, "x-fc-security-token": CANARY + "-token"}
    with web_function([RELAY, "http"], cloud.settings(), tmp_path / "relay.log") as function:
        with client_of(function, cloud, token, **bad) as sender:
            answer = sender.post("/initialize", headers={"x-fc-control-path": "/initialize"})
            assert answer.status_code == 200  # the instance lives; each call is told what is wrong
            answer = sender.post("/v1/exports", json=OPEN)
            assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
            assert CANARY not in answer.text
        time.sleep(1.1)  # a failure is remembered for a second
        with client_of(function, cloud, token) as sender:
            opened(sender)
    errors = [line["error"]["message"] for line in log_lines(function.log) if line["event"] == "SystemError"]
    assert errors
    assert all(error.startswith("StoreRefused") for error in errors)
    log = function.log.read_text()
    assert CANARY not in log
    assert cloud.oss.access_key_secret not in log


def test_a_relay_without_any_credentials_says_so(cloud: Cloud, token: str, tmp_path: Path) -> None:
    with web_function([RELAY, "http"], cloud.settings(), tmp_path / "relay.log") as function:
        answer = CALLER.get(f"{function.url}/v1/exports", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 503
    assert "There are no credentials" in function.log.read_text()


def test_a_signal_drains_the_relay(cloud: Cloud, token: str, tmp_path: Path) -> None:
    """Who waits for a change is answered at once, with what there is."""
    answers: list[httpx.Response] = []
    with (
        web_function([RELAY, "http"], cloud.settings(), tmp_path / "relay.log") as function,
        client_of(function, cloud, token) as sender,
    ):
        task_id = opened(sender)
        cloud.tablestore.requests.clear()
        waiting = threading.Thread(target=lambda: answers.append(sender.get(f"/v1/exports/{task_id}?wait=60")))
        waiting.start()
        _until(lambda: any(call.operation == "GetRow" for call in cloud.tablestore.requests))
        assert function.stop() == 0
        waiting.join()
    assert [answer.status_code for answer in answers] == [200]
    assert [line["event"] for line in log_lines(function.log)][-1] == "ServiceStopped"


def test_the_hook_before_the_stop_ends_what_waits(cloud: Cloud, token: str, tmp_path: Path) -> None:
    with (
        web_function([RELAY, "http"], cloud.settings(), tmp_path / "relay.log") as function,
        client_of(function, cloud, token) as sender,
    ):
        task_id = opened(sender)
        assert sender.get("/pre-stop", headers={"x-fc-control-path": "/pre-stop"}).status_code == 200
        assert sender.get(f"/v1/exports/{task_id}?wait=60").status_code == 200  # long before the minute is over


@pytest.mark.parametrize("source", ["metadata", "environment"])
def test_the_grpc_relay_takes_credentials_from_metadata_or_the_environment(
    cloud: Cloud, token: str, tmp_path: Path, source: str
) -> None:
    env = {**cloud.settings(), **(cloud.credentials() if source == "environment" else {})}
    with web_function([RELAY, "grpc"], env, tmp_path / "relay.log") as function:
        client = GrpcClient(f"127.0.0.1:{function.port}", token)
        try:
            if source == "metadata":
                assert refused(lambda: client.call("ListTasks", pb.ListTasksRequest())).code == "STORE_UNAVAILABLE"
                time.sleep(1.1)  # a failure is remembered for a second
                client.metadata = (*client.metadata, *cloud.headers("1-fc-88").items())
            column = pb.ColumnDefinition(name="name")
            metadata = pb.ExportMetadata(format=pb.FORMAT_CSV, filename="a.csv", columns=[column])
            task_id = client.call("OpenExport", metadata).task_id
            rows = pb.DataBatch(batch_sequence=1, records=[pb.Record(values=["x"])])
            assert client.call("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=rows)).records == 1
            client.call("CloseExport", pb.CloseExportRequest(task_id=task_id))
        finally:
            client.channel.close()
        if source == "metadata":
            ids = {line["request_id"] for line in log_lines(function.log) if line["event"] == "TaskCreated"}
            assert ids == {"1-fc-88"}
    assert cloud.oss.access_key_secret not in function.log.read_text()


def _until(holds: Any) -> None:
    give_up_at = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
