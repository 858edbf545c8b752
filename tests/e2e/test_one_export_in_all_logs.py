"""One export is followed through all processes' logs: by its task, by the id its sender gave, and by its trace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import pytest

from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.proto import export_pb2 as pb
from sluice.proto import export_pb2_grpc
from tests.support.data_directory import data_directory, seal
from tests.support.running_service import QUICK, ServiceProcess, serving

pytestmark = pytest.mark.slow
WAIT_S = 60
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
VERBOSE = {**QUICK, "SLUICE_LOGGING_LEVEL": "DEBUG"}

RELAYED = {"TaskCreated", "BatchReceived", "BatchProcessed"}
SWEPT = {"TaskQueued"}
COMPOSED = {"TaskStarted", "AttemptStarted", "OSSUploadStarted", "FileWritten", "OSSUploadCompleted", "TaskCompleted"}
QUERIED = {"StatusQueried", "LinkIssued"}


def lines_with(service: ServiceProcess, key: str, value: str) -> dict[str, set[str]]:
    """The components that wrote an event, of lines that have the id ``value`` under ``key``."""
    found: dict[str, set[str]] = {}
    for text in service.log.read_text().splitlines():
        line = json.loads(text)
        if line[key] == value:
            found.setdefault(line["event"], set()).add(line["component"])
    return found


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_an_export_over_http_is_followed_from_its_open_past_a_lost_trigger_to_its_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        serving(data, env=VERBOSE) as first,
        httpx.Client(verify=False, base_url=first.url, timeout=WAIT_S, trust_env=False) as client,
    ):
        columns = [{"name": "n", "type": "number"}]
        opened = client.post(
            "/v1/exports",
            json={"format": "csv", "columns": columns},
            headers={**TRACED, "X-Request-ID": "invoice-run-7"},
        ).json()
        task_id = opened["task_id"]
        assert opened["request_id"] == "invoice-run-7"
        assert client.put(f"/v1/exports/{task_id}/batches/1", json=[[1], [2]]).status_code == 200
        assert client.put(f"/v1/exports/{task_id}/batches/1", json=[[3]], headers={"X-Request-ID": "other"}).is_error
    with data_directory(data) as ports:  # its trigger is lost: no composer hears of it before the next sweep
        seal(ports, TaskRef(TenantId("local"), TaskId(task_id)))
    with (
        serving(data, env=VERBOSE) as second,
        httpx.Client(verify=False, base_url=second.url, timeout=WAIT_S, trust_env=False) as client,
    ):
        until(lambda: client.get(f"/v1/exports/{task_id}").json()["state"] == "completed")
        assert client.get(f"/v1/exports/{task_id}/file").status_code == 302
        (listed,) = client.get("/v1/exports").json()["tasks"]
        assert listed["request_id"] == "invoice-run-7"
    for key, value in (("task_id", task_id), ("session_id", "invoice-run-7"), ("trace_id", TRACE)):
        found = lines_with(second, key, value)  # one log for both services
        assert found.keys() >= RELAYED | SWEPT | COMPOSED | QUERIED | {"BatchRejected"}, key
        assert {event: found[event] for event in RELAYED} == {event: {"http"} for event in RELAYED}
        assert {event: found[event] for event in SWEPT} == {event: {"sweeper"} for event in SWEPT}
        assert {event: found[event] for event in COMPOSED} == {event: {"composer"} for event in COMPOSED}
    # A call has its own request; what no call does has that of the open.
    assert lines_with(second, "request_id", "other").keys() == {"BatchRejected", "BatchReceived"}
    assert lines_with(second, "request_id", "invoice-run-7").keys() >= {"TaskCreated"} | SWEPT | COMPOSED


def test_the_request_id_of_the_grpc_contract_is_found_in_every_line_and_in_status_and_list(tmp_path: Path) -> None:
    with serving(tmp_path / "data", env=VERBOSE) as service, grpc.insecure_channel(service.grpc_target) as channel:
        stub = export_pb2_grpc.ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        metadata = pb.ExportMetadata(
            request_id="nightly-42", format=pb.FORMAT_CSV, columns=[pb.ColumnDefinition(name="a")]
        )
        records = [pb.Record(values=["x"])]
        sent = [pb.ExportRequest(metadata=metadata), pb.ExportRequest(batch=pb.DataBatch(records=records))]
        last = list(stub.StreamExport(iter(sent), timeout=WAIT_S, metadata=tuple(TRACED.items())))[-1]
        assert last.status == pb.TASK_STATUS_COMPLETED
        status = stub.QueryTaskStatus(pb.TaskStatusRequest(task_id=last.task_id), timeout=WAIT_S)
        (listed,) = stub.ListTasks(pb.ListTasksRequest(), timeout=WAIT_S).tasks
        assert (status.request_id, listed.request_id) == ("nightly-42", "nightly-42")
    for key, value in (("task_id", last.task_id), ("session_id", "nightly-42"), ("trace_id", TRACE)):
        found = lines_with(service, key, value)
        assert found.keys() >= RELAYED | {"TaskSealed"} | COMPOSED, key
        assert all(found[event] == {"composer"} for event in COMPOSED)
