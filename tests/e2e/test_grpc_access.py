"""Who may call what over gRPC, and that nobody else gets as far as the body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event as Flag
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.api.grpc.service import METHODS
from sluice.domain.api_key import Scope
from sluice.domain.events import Event
from sluice.ports.log_context import current_context
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import (
    GrpcClient,
    batch_of,
    closing,
    metadata_of,
    opening,
    raw_stream,
    raw_unary,
    refusal_of,
    refused,
    rows_of,
    sending,
    serving,
    serving_client,
)
from tests.support.memory_service import MemoryService
from tests.support.recorded_journal import RecordedJournal

Status = grpc.StatusCode
READS = {"QueryTaskStatus", "CreateDownloadLink", "ListTasks"}
SERVICE = "/export.ExportService/"


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path)


@pytest.fixture
def target(memory: MemoryService) -> Iterator[str]:
    with serving(memory) as address:
        yield address


def bare_call(target: str, method: str, *headers: tuple[str, str]) -> grpc.RpcError:
    """Call a method with headers alone: no message is sent and the call is not half-closed until it has failed."""
    failed = Flag()
    with grpc.insecure_channel(target) as channel:
        call = raw_stream(channel, SERVICE + method)(nothing_until(failed), metadata=headers, timeout=20)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        failed.set()
        return caught.value


def nothing_until(flag: Flag) -> Iterator[bytes]:
    assert flag.wait(20)
    yield from ()


def test_every_method_of_the_contract_is_served_and_no_other() -> None:
    assert set(METHODS) == {method.name for method in pb.DESCRIPTOR.services_by_name["ExportService"].methods}
    assert {name for name, method in METHODS.items() if method.scope is Scope.READ} == READS


@pytest.mark.parametrize("method", METHODS)
def test_s1_without_a_credential_the_answer_comes_before_the_body(target: str, method: str) -> None:
    said = refusal_of(bare_call(target, method))
    assert said.answer == ("UNAUTHENTICATED", Status.UNAUTHENTICATED, {})
    assert said.info is not None
    assert said.info.reason == "UNAUTHENTICATED"


BAD_HEADERS = [
    (),
    (("authorization", ""),),
    (("authorization", "Bearer"),),
    (("authorization", "Bearer nonsense"),),
    (("authorization", f"Bearer slc_{'a' * 12}_{'a' * 52}"),),
    (("authorization", "Basic dXNlcjpwYXNz"),),
    (("authorization", "Bearer " + "x" * 4_000),),
    (("x-tenant-id", "acme"),),
]


@pytest.mark.parametrize("headers", BAD_HEADERS)
def test_s1_what_is_no_credential_is_one_and_the_same_refusal(
    target: str, headers: tuple[tuple[str, str], ...]
) -> None:
    client = GrpcClient(target, None)
    said = client.refused("ListTasks", pb.ListTasksRequest(), metadata=headers)
    client.close()
    assert said.answer == ("UNAUTHENTICATED", Status.UNAUTHENTICATED, {})
    assert said.detail == "No valid credential was sent."


def test_two_credentials_are_none(memory: MemoryService, target: str) -> None:
    client = GrpcClient(target, None)
    both = tuple(("authorization", f"Bearer {memory.token(tenant)}") for tenant in ("acme", "other"))
    assert client.refused("ListTasks", pb.ListTasksRequest(), metadata=both).code == "UNAUTHENTICATED"
    client.close()


def test_the_refused_are_told_to_the_journal(memory: MemoryService, target: str) -> None:
    bare_call(target, "ListTasks")
    (told,) = memory.journal.of(Event.AUTHENTICATION_FAILED)
    assert told["reason"] == "missing"


@pytest.mark.parametrize("method", sorted(set(METHODS) - READS))
def test_s8_who_may_only_read_changes_nothing(memory: MemoryService, target: str, method: str) -> None:
    header = ("authorization", f"Bearer {memory.token(scope=Scope.READ)}")
    said = refusal_of(bare_call(target, method, header))
    needed = METHODS[method].scope.value
    assert said.answer == ("PERMISSION_DENIED", Status.PERMISSION_DENIED, {"scope": needed})
    assert len(memory.journal.of(Event.AUTHORIZATION_FAILED)) == 1
    assert list(memory.tasks.scan()) == []


def test_who_may_only_read_can_read(memory: MemoryService, target: str) -> None:
    writer, reader = GrpcClient(target, memory.token()), GrpcClient(target, memory.token(scope=Scope.READ))
    task_id = writer.export([opening(), sending(rows_of(1, 1), 1)]).last.task_id
    request = pb.TaskStatusRequest(task_id=task_id)
    assert reader.call("QueryTaskStatus", request).status == pb.TASK_STATUS_COMPLETED
    assert reader.stub.CreateDownloadLink(request, metadata=reader.metadata).url
    assert [task.task_id for task in reader.stub.ListTasks(pb.ListTasksRequest(), metadata=reader.metadata).tasks] == [
        task_id
    ]
    writer.close()
    reader.close()


def test_s3_the_tenant_comes_from_the_credential_alone(memory: MemoryService, target: str) -> None:
    acme = GrpcClient(target, memory.token("acme"))
    acme.metadata = (*acme.metadata, ("x-tenant-id", "other"), ("tenant", "other"))
    task_id = acme.export([opening(), closing(batches=0)]).last.task_id
    acme.close()
    assert memory.row(task_id, "acme").tenant == "acme"


def test_two_tenants_with_the_same_request_id_have_a_task_each(memory: MemoryService, target: str) -> None:
    ids = set()
    for tenant in ("acme", "other"):
        client = GrpcClient(target, memory.token(tenant))
        ids.add(client.call("OpenExport", metadata_of(request_id="same")).task_id)
        client.close()
    assert len(ids) == 2


def test_s34_a_tenant_that_calls_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, rate_per_s=0.1, rate_burst=2)
    with serving(memory) as target:
        greedy, other = GrpcClient(target, memory.token("acme")), GrpcClient(target, memory.token("other"))
        for _ in range(2):
            greedy.call("ListTasks", pb.ListTasksRequest())
        said = greedy.refused("ListTasks", pb.ListTasksRequest())
        other.call("ListTasks", pb.ListTasksRequest())
        greedy.close()
        other.close()
    assert (said.code, said.status) == ("RATE_LIMITED", Status.RESOURCE_EXHAUSTED)
    assert said.retry is not None
    assert 8 <= said.retry.retry_delay.seconds <= 10


def test_a_stream_counts_as_one_call(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, rate_per_s=0.001, rate_burst=1)
    with serving_client(memory) as client:
        outcome = client.export([opening(), *(sending(rows_of(n, 1), n) for n in range(1, 30))])
        assert outcome.last.record_count == 29


@pytest.mark.parametrize("path", ["/export.ExportService/DropTables", "/export.Other/StreamExport", "/x", "/a/b/c"])
def test_what_is_no_method_is_not_there(memory: MemoryService, target: str, path: str) -> None:
    with grpc.insecure_channel(target) as channel:
        said = refused(lambda: raw_unary(channel, path)(b"", timeout=20))
    assert said.status is Status.UNIMPLEMENTED


@pytest.mark.parametrize(
    "path",
    [
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/grpc.health.v1.Health/Watch",
    ],
)
def test_s20_nothing_of_the_inside_is_served(target: str, path: str) -> None:
    with grpc.insecure_channel(target) as channel:
        call = raw_stream(channel, path)(iter([b""]), timeout=20)
        assert refused(lambda: list(call)).status is Status.UNIMPLEMENTED


def health(target: str, component: str) -> object:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=component), timeout=20).status


@pytest.mark.parametrize("component", ["", "export.ExportService"])
def test_health_is_told_to_everybody(target: str, component: str) -> None:
    assert health(target, component) == health_pb2.HealthCheckResponse.SERVING


def test_a_component_that_there_is_not_is_not_found(target: str) -> None:
    assert refused(lambda: health(target, "nothing")).status is Status.NOT_FOUND


def test_bytes_that_are_no_health_check_are_refused(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        call = raw_unary(channel, "/grpc.health.v1.Health/Check")
        assert refused(lambda: call(b"\xff", timeout=20)).status is Status.INVALID_ARGUMENT


def test_health_checks_that_ask_nothing_use_up_neither_the_server_nor_the_checks(
    memory: MemoryService, target: str
) -> None:
    enough = Flag()
    with grpc.insecure_channel(target) as channel:
        silent = raw_stream(channel, "/grpc.health.v1.Health/Check")
        calls = []
        for _ in range(30):
            calls += [silent(nothing_until(enough), timeout=20) for _ in range(3)]
            assert health(target, "") == health_pb2.HealthCheckResponse.SERVING
        client = GrpcClient(target, memory.token())
        assert client.export([opening(), sending(rows_of(1, 1), 1)]).last.status == pb.TASK_STATUS_COMPLETED
        client.close()
        enough.set()
        ends = Counter(map(end_of, calls))
    assert ends[Status.CANCELLED] >= 90 - 8, ends


def end_of(call: Any) -> Status:
    try:
        list(call)
    except grpc.RpcError as error:
        return refusal_of(error).status
    return Status.OK


def test_the_request_id_of_the_caller_comes_back(memory: MemoryService, target: str) -> None:
    client = GrpcClient(target, memory.token())

    def echoed(*sent: tuple[str, str]) -> str:
        _, call = client.stub.ListTasks.with_call(pb.ListTasksRequest(), metadata=(*client.metadata, *sent))
        return str(dict(call.trailing_metadata())["x-request-id"])

    assert echoed(("x-request-id", "order-7:a.b_c")) == "order-7:a.b_c"
    made = {echoed(), echoed(), echoed(("x-request-id", "two words")), echoed(("x-request-id", "x" * 65))}
    assert len(made) == 4
    assert all(len(request_id) == 20 for request_id in made)
    client.close()


def test_a_refusal_has_the_request_id_too(target: str) -> None:
    assert refusal_of(bare_call(target, "ListTasks", ("x-request-id", "r-1"))).request_id == "r-1"


def test_the_trace_of_the_caller_is_kept_with_the_task(memory: MemoryService, target: str) -> None:
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    client = GrpcClient(target, memory.token())
    kept = []
    for sent in (parent, "00-nonsense"):
        metadata = (*client.metadata, ("traceparent", sent), ("x-request-id", "r-1"))
        task_id = client.call("OpenExport", metadata_of(), metadata=metadata).task_id
        kept.append((memory.row(task_id).trace_parent, memory.row(task_id).client_request_id))
    client.close()
    assert kept == [(parent, "r-1"), ("", "r-1")]


def test_a_refused_batch_is_told_to_the_journal_once(memory: MemoryService, target: str) -> None:
    client = GrpcClient(target, memory.token())
    task_id = client.call("OpenExport", metadata_of()).task_id
    client.refused("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch_of([["1"]], 4)))
    client.close()
    (told,) = memory.journal.of(Event.BATCH_REJECTED)
    assert told == {"task_id": task_id, "tenant": "acme", "sequence": 4, "error_code": "ROW_WIDTH_MISMATCH"}
    assert memory.journal.of(Event.VALIDATION_ERROR) == []


class TracedJournal(RecordedJournal):
    """Remembers also what was bound around each entry."""

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[Mapping[str, str]] = []

    def record(self, event: Event, **fields: object) -> None:
        super().record(event, **fields)
        self.bound.append(current_context())


def test_every_log_line_of_a_call_names_the_request_and_the_trace(tmp_path: Path) -> None:
    journal = TracedJournal()
    memory = MemoryService(tmp_path, journal=journal, paused=True)
    sent = (("x-request-id", "r-1"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"))
    with serving_client(memory) as client:
        client.metadata = (*client.metadata, *sent)
        client.export([opening(wait=False, ack_batches=True), sending(rows_of(1, 1), 1)])
        client.refused("ListTasks", pb.ListTasksRequest(limit=-1))
        client.refused("ListTasks", pb.ListTasksRequest(), metadata=sent)
    calls = journal.bound[: journal.events().index(Event.AUTHENTICATION_FAILED) + 1]
    assert len(calls) >= 5
    assert {bound["request_id"] for bound in calls} == {"r-1"}
    assert {bound["component"] for bound in calls} == {"grpc"}
    assert {bound["trace_id"] for bound in calls[:-1]} == {"ab" * 16}


def test_what_a_call_causes_knows_with_which_key_it_came(tmp_path: Path) -> None:
    journal = TracedJournal()
    memory = MemoryService(tmp_path, journal=journal, paused=True)
    with serving_client(memory) as client:
        client.export([opening(wait=False, ack_batches=True), sending(rows_of(1, 1), 1)])
        created = journal.bound[journal.events().index(Event.TASK_CREATED)]
        key = dict(client.metadata)["authorization"].split("_")[1]
    assert created["key_id"] == key
