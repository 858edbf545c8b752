"""What callers can make the gRPC server hold in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from sluice.domain.limits import MIB
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import GrpcClient, batch_of, metadata_of, opening, sending
from tests.support.grpc_process import GrpcProcess, grpc_process

pytestmark = [
    pytest.mark.memory,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
GROWTH_MAX = 64 * MIB


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GrpcProcess]:
    with grpc_process(tmp_path) as process:
        yield process


@pytest.fixture
def client(server: GrpcProcess) -> Iterator[GrpcClient]:
    calling = GrpcClient(server.target, server.token)
    calling.call("ListTasks", pb.ListTasksRequest())
    yield calling
    calling.close()


def test_s17_a_bomb_of_256_mb_is_not_unpacked(server: GrpcProcess, client: GrpcClient) -> None:
    before = server.peak_bytes()
    bomb = pb.PutBatchRequest(task_id="\0" * 256_000_000)
    said = client.refused("PutBatch", bomb, compression=grpc.Compression.Gzip, timeout=60)
    assert said.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.peak_bytes() - before < GROWTH_MAX


def test_s17_messages_of_5_mb_are_held_one_at_a_time(server: GrpcProcess, client: GrpcClient) -> None:
    task_id = client.call("OpenExport", metadata_of(["a"])).task_id
    before = server.peak_bytes()
    request = pb.PutBatchRequest(task_id=task_id, batch=batch_of([["x" * 5_000_000]], 1))
    for _ in range(20):
        assert client.refused("PutBatch", request).code == "BATCH_TOO_LARGE"
    assert server.peak_bytes() - before < GROWTH_MAX


def test_a_long_stream_takes_no_more_memory_than_a_short_one(server: GrpcProcess, client: GrpcClient) -> None:
    row = ["x" * 1_000] * 10

    def export(batches: int) -> None:
        requests = (sending([row] * 300, number) for number in range(1, batches + 1))  # 3 MB each
        stream = client.stub.StreamExport(
            _after(opening(*"abcdefghij", wait=False), requests), metadata=client.metadata, timeout=100
        )
        responses = list(stream)
        assert [response.status for response in responses] == [pb.TASK_STATUS_QUEUED] * 2
        client.call("CancelExport", pb.TaskStatusRequest(task_id=responses[0].task_id))  # nobody composes it

    export(20)
    before = server.peak_bytes()
    export(150)
    assert server.peak_bytes() - before < 32 * MIB  # of 450 MB that came


def _after(first: pb.ExportRequest, rest: Iterator[pb.ExportRequest]) -> Iterator[pb.ExportRequest]:
    yield first
    yield from rest


def test_a_batch_of_nothing_but_tiny_rows_is_refused_before_it_is_many_objects(
    server: GrpcProcess, client: GrpcClient
) -> None:
    task_id = client.call("OpenExport", metadata_of(["a"])).task_id
    before = server.peak_bytes()
    # An empty row is two bytes on the wire, so this is a message just below 8 MiB.
    batch = pb.DataBatch(records=[pb.Record()] * 4_000_000, batch_sequence=1)
    said = client.refused("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch))
    assert (said.code, said.facts["batch_rows_max"]) == ("BATCH_TOO_LARGE", 50_000)
    growth = server.peak_bytes() - before
    print(f"4 million rows in 8 MB: {growth / MIB:.0f} MiB")
    assert growth < 256 * MIB
