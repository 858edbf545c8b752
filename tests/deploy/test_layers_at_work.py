"""Every function at work from the built layers, on the deployed Python, with both SDKs over stand-ins of the cloud."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest

from sluice.proto import export_pb2 as pb
from tests.support.built_layers import BuiltLayers, built_layers
from tests.support.cloud_functions import FUNCTIONS, Cloud, log_lines, serving_cloud
from tests.support.grpc_client import GrpcClient
from tests.support.http_calls import CALLER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first run of a machine fetches the packages
START_S = 60
STOP_S = 20
OPEN = {"columns": [{"name": "id", "type": "number"}, {"name": "name"}], "format": "xlsx", "filename": "orders.xlsx"}
ROWS = [[1, "水闸"], [2, "<&>"]]

_INVOKE = """
import importlib, json, sys
from types import SimpleNamespace
context = SimpleNamespace(request_id="r-1", function=SimpleNamespace(timeout=600, memory=512))
print("ANSWER " + importlib.import_module(sys.argv[1]).handler(sys.argv[2].encode(), context))
"""


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> BuiltLayers:
    return built_layers(tmp_path_factory)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with serving_cloud(tmp_path) as cloud:
        yield cloud


@contextmanager
def started(layers: BuiltLayers, cloud: Cloud, log: Path, *command: str) -> Iterator[int]:
    """A function with a port, started from its folder by its command; gives the port."""
    folder = FUNCTIONS / Path(command[0]).stem
    environment = {"PYTHONPATH": str(layers.opt), "FC_SERVER_PORT": "0", **cloud.settings()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(layers.python), "-S", "-s", "-B", *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _port_of(process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    give_up_at = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < give_up_at:
        for line in log_lines(log):
            if line["event"] == "ServiceStarted":
                return int(line["fields"]["port"])
        time.sleep(0.05)
    raise AssertionError(f"the function did not start:\n{log.read_text()}")


def invoked(layers: BuiltLayers, cloud: Cloud, function: str, event: object) -> Any:
    """What a handler answers to an event, called as a built-in runtime calls it."""
    variables = cloud.settings() | cloud.credentials()
    done = layers.run(_INVOKE, function, json.dumps(event), folder=FUNCTIONS / function, variables=variables)
    assert done.returncode == 0, done.stderr
    answer = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER "))
    return json.loads(answer.removeprefix("ANSWER "))


def client_of(port: int, cloud: Cloud, token: str) -> httpx.Client:
    headers = {**cloud.headers(), "authorization": f"Bearer {token}"}
    return httpx.Client(verify=False, base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30)


def push(layers: BuiltLayers, cloud: Cloud, token: str, log: Path) -> str:
    """Send an export to the relay over HTTP; gives its id."""
    with started(layers, cloud, log, "relay.py", "http") as port, client_of(port, cloud, token) as client:
        task_id = str(client.post("/v1/exports", json=OPEN).json()["task_id"])
        batch = client.put(f"/v1/exports/{task_id}/batches/1", json=ROWS)
        assert batch.status_code == 200, batch.text
        closed = client.post(f"/v1/exports/{task_id}/close", json={"batches": 1, "rows": len(ROWS)})
        assert closed.status_code == 202, closed.text
    return task_id


def test_an_export_goes_through_every_function(layers: BuiltLayers, cloud: Cloud, tmp_path: Path) -> None:
    triggers: list[dict[str, Any]] = []
    cloud.oss.listen(triggers.append)
    token = cloud.add_key()
    task_id = push(layers, cloud, token, tmp_path / "relay.log")
    cloud.oss.settle()
    event = next(
        trigger for trigger in triggers if trigger["events"][0]["oss"]["object"]["key"].endswith(".manifest.json")
    )
    composed = invoked(layers, cloud, "compose", event)
    assert composed["outcomes"] == [{"task_id": task_id, "outcome": "completed"}]

    with started(layers, cloud, tmp_path / "query.log", "query.py") as port, client_of(port, cloud, token) as client:
        assert client.get(f"/v1/exports/{task_id}").json()["state"] == "completed"
        link = client.get(f"/v1/exports/{task_id}/file", follow_redirects=False).headers["location"]
    sheet = openpyxl.load_workbook(io.BytesIO(CALLER.get(link).content)).active
    assert sheet is not None
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [["id", "name"], *ROWS]

    assert invoked(layers, cloud, "sweep", {"payload": "sweep"}) == {"swept": {"garbage": 1}}


def test_the_relay_answers_over_grpc(layers: BuiltLayers, cloud: Cloud, tmp_path: Path) -> None:
    token = cloud.add_key()
    ref = cloud.seal()
    with started(layers, cloud, tmp_path / "grpc.log", "relay.py", "grpc") as port:
        client = GrpcClient(f"127.0.0.1:{port}", token)
        client.metadata = (*client.metadata, *cloud.headers().items())
        try:
            status = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=ref.task_id))
        finally:
            client.close()
    assert status.task_id == ref.task_id
