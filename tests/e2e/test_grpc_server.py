"""The gRPC server's beginning and end, TLS, reflection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from sluice.api.grpc.server import GrpcLimits, GrpcServer, TlsFiles, server_options
from sluice.domain.events import Event
from sluice.domain.task import State
from sluice.proto import export_pb2 as pb
from sluice.proto.export_pb2_grpc import ExportServiceStub
from tests.support.certificate import self_signed
from tests.support.grpc_client import GrpcClient, opening, refusal_of, rows_of, sending, serving
from tests.support.memory_service import MemoryService
from tests.support.programs import has, why_not

Status = grpc.StatusCode


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path)


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def drain_beside(face: GrpcServer, deadline_s: float) -> threading.Thread:
    thread = threading.Thread(target=face.drain, args=(deadline_s,))
    thread.start()
    return thread


def test_calls_that_run_may_end_while_the_server_drains(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    face = GrpcServer(memory.service)
    target = f"127.0.0.1:{face.start()}"
    client, newcomer = GrpcClient(target, memory.token()), GrpcClient(target, memory.token())
    stream = client.open_stream()
    stream.write(opening())
    task_id = stream.read().task_id
    draining = drain_beside(face, 20)
    wait_until(lambda: _is_refused(newcomer))
    stream.write(sending(rows_of(1, 2), 1))
    stream.done()
    wait_until(lambda: memory.row(task_id).state is State.SEALED)
    memory.invoker.release()
    assert stream.rest().last.status == pb.TASK_STATUS_COMPLETED
    draining.join(20)
    assert not draining.is_alive()
    memory.invoker.join()
    client.close()
    newcomer.close()


def _is_refused(client: GrpcClient) -> bool:
    try:
        client.call("ListTasks", pb.ListTasksRequest())
    except grpc.RpcError as error:
        return refusal_of(error).status is Status.UNAVAILABLE
    return False


def test_calls_that_do_not_end_in_time_are_cancelled_and_nothing_is_sealed(memory: MemoryService) -> None:
    face = GrpcServer(memory.service)
    client = GrpcClient(f"127.0.0.1:{face.start()}", memory.token())
    stream = client.open_stream()
    stream.write(opening(ack_batches=True), sending(rows_of(1, 2), 1))
    task_id = stream.read().task_id
    stream.read()
    face.drain(0.2)
    outcome = stream.rest()
    assert outcome.refusal is not None
    assert outcome.refusal.status in {Status.CANCELLED, Status.UNAVAILABLE}
    assert memory.row(task_id).state is State.OPEN
    assert len(memory.journal.of(Event.STREAM_ERROR)) == 1
    client.close()


def test_a_stream_cut_by_a_drain_goes_on_at_the_next_server(memory: MemoryService) -> None:
    token = memory.token()
    with serving(memory) as target:
        client = GrpcClient(target, token)
        stream = client.open_stream()
        stream.write(opening(request_id="r", ack_batches=True), sending(rows_of(1, 2), 1))
        stream.read()
        stream.read()
    stream.rest()
    client.close()
    with serving(memory) as target:
        client = GrpcClient(target, token)
        outcome = client.export([opening(request_id="r"), sending(rows_of(3, 2), 2)])
        assert (list(outcome.responses[0].held_sequences), outcome.last.record_count) == ([1], 4)
        client.close()


def test_a_component_that_is_not_well_says_so(memory: MemoryService) -> None:
    face = GrpcServer(memory.service)
    answers = health_pb2.HealthCheckResponse
    with grpc.insecure_channel(f"127.0.0.1:{face.start()}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def health(component: str) -> object:
            return stub.Check(health_pb2.HealthCheckRequest(service=component), timeout=20).status

        face.report("store", serving=False)
        assert [health(name) for name in ("store", "")] == [answers.NOT_SERVING, answers.SERVING]
        face.report("store", serving=True)
        assert health("store") == answers.SERVING
    face.drain(0)


def test_a_port_that_is_taken_is_an_error(memory: MemoryService) -> None:
    with serving(memory) as target:
        second = GrpcServer(memory.service, port=int(target.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            second.start()


def test_it_listens_where_it_is_told_and_nowhere_else(memory: MemoryService) -> None:
    with serving(memory) as target:
        port = int(target.rpartition(":")[2])
        with socket.socket() as other:  # the same port of another address is free
            other.bind(("127.0.0.2", port))


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_it_can_listen_on_ipv6(memory: MemoryService) -> None:
    face = GrpcServer(memory.service, host="::1")
    client = GrpcClient(f"[::1]:{face.start()}", memory.token())
    assert client.call("ListTasks", pb.ListTasksRequest()) == pb.ListTasksResponse()
    client.close()
    face.drain(0)


def reflected_services(target: str) -> set[str]:
    with grpc.insecure_channel(target) as channel:
        return set(ProtoReflectionDescriptorDatabase(channel).get_services())


def test_reflection_is_there_when_told(memory: MemoryService) -> None:
    with serving(memory, reflection=True) as target:
        assert "export.ExportService" in reflected_services(target)
        with grpc.insecure_channel(target) as channel:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            service = pool.FindServiceByName("export.ExportService")  # type: ignore[no-untyped-call]  # no types
            assert len(service.methods) == 14


@pytest.mark.skipif(not has("openssl"), reason=why_not("openssl"))
def test_it_speaks_tls_and_then_nothing_else(memory: MemoryService, tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    files = TlsFiles(made.certificate.read_bytes(), made.key.read_bytes())
    face = GrpcServer(memory.service, tls=files)
    target = f"127.0.0.1:{face.start()}"
    header = (("authorization", f"Bearer {memory.token()}"),)
    credentials = grpc.ssl_channel_credentials(files.certificate_chain)
    with grpc.secure_channel(target, credentials) as channel:
        stub = ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        assert stub.ListTasks(pb.ListTasksRequest(), metadata=header, timeout=20) == pb.ListTasksResponse()
    plain = GrpcClient(target, memory.token())
    assert plain.refused("ListTasks", pb.ListTasksRequest()).status is Status.UNAVAILABLE
    plain.close()
    face.drain(0)


def test_many_servers_come_and_go_without_leaving_threads(memory: MemoryService) -> None:
    def serve_once() -> None:
        with serving(memory) as target:
            client = GrpcClient(target, memory.token())
            client.call("ListTasks", pb.ListTasksRequest())
            client.close()

    serve_once()
    before = threading.active_count()
    for _ in range(10):
        serve_once()
    wait_until(lambda: threading.active_count() <= before + 3)


def test_every_call_is_observed_once_when_it_has_ended(memory: MemoryService) -> None:
    seen: list[tuple[str, str, str, float]] = []
    with serving(memory, observe=lambda *call: seen.append(call)) as target:
        client, stranger = GrpcClient(target, memory.token()), GrpcClient(target, None)
        client.call("ListTasks", pb.ListTasksRequest())
        client.refused("ListTasks", pb.ListTasksRequest(limit=-1))
        stranger.refused("PutBatch", pb.PutBatchRequest())
        client.export([opening(), sending(rows_of(1, 1), 1)])
        stream = client.open_stream()
        stream.write(opening())
        stream.read()
        stream.cancel()
        wait_until(lambda: len(seen) == 5)
        client.close()
        stranger.close()
    assert [call[:3] for call in seen] == [
        ("gRPC", "ListTasks", "OK"),
        ("gRPC", "ListTasks", "INVALID_ARGUMENT"),
        ("gRPC", "PutBatch", "UNAUTHENTICATED"),
        ("gRPC", "StreamExport", "OK"),
        ("gRPC", "StreamExport", "CANCELLED"),
    ]
    assert all(call[3] >= 0 for call in seen)


def test_every_limit_reaches_the_core() -> None:
    limits = GrpcLimits(
        message_bytes_max=11, metadata_bytes_max=12, calls_per_connection_max=13, handshake_timeout_s=1.4,
        idle_timeout_s=1.5, connection_age_s=1.6, connection_grace_s=1.7, keepalive_time_s=1.8,
        keepalive_timeout_s=1.9, ping_interval_s=2, connections_max=14, lookahead_bytes=15,
    )  # fmt: skip
    assert {value for _, value in server_options(limits)} == {0, 11, 12, 13, 14, 15, *range(1_400, 2_100, 100)}
