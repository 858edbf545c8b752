"""A stream that breaks never seals, however it breaks; the task can be continued to its end."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from sluice.api.grpc.server import GrpcLimits
from sluice.domain.events import Event
from sluice.domain.task import State
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import (
    GrpcClient,
    opening,
    raw_stream,
    refused,
    rows_of,
    sending,
    serving,
    serving_client,
)
from tests.support.memory_service import MemoryService

MESSAGE_BYTES_MAX = 100_000
TOO_LARGE = pb.ExportRequest(batch=pb.DataBatch(records=[pb.Record(values=["x" * MESSAGE_BYTES_MAX])]))


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path)


@pytest.fixture
def client(memory: MemoryService) -> Iterator[GrpcClient]:
    limits = GrpcLimits(message_bytes_max=MESSAGE_BYTES_MAX, tenant_share=1)
    with serving_client(memory, limits=limits) as serving_one:
        yield serving_one


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def broken_streams(memory: MemoryService) -> int:
    return len(memory.journal.of(Event.STREAM_ERROR))


def assert_all_open(memory: MemoryService, count: int) -> None:
    """Every stream was noticed to break, every task took its batch, none was sealed."""
    wait_until(lambda: broken_streams(memory) >= count)
    tasks = list(memory.tasks.scan())
    assert [task.state for task in tasks] == [State.OPEN] * count
    assert memory.invoker.rings == []


# Each of these is done many times: without care, the end of a broken stream is
# taken for a half-close in a few of a hundred.


def test_a_cancelled_stream_does_not_seal(memory: MemoryService, client: GrpcClient) -> None:
    for _ in range(40):
        stream = client.open_stream()
        stream.write(opening(ack_batches=True), sending(rows_of(1, 2), 1))
        stream.read()
        stream.read()
        stream.cancel()
    assert_all_open(memory, 40)


def test_a_message_that_is_too_large_does_not_seal(memory: MemoryService, client: GrpcClient) -> None:
    streams = [client.open_stream() for _ in range(90)]
    for stream in streams:
        stream.write(opening(), sending(rows_of(1, 2), 1), TOO_LARGE, sending(rows_of(3, 1), 3))
    for stream in streams:
        outcome = stream.rest()
        assert outcome.refusal is not None
        assert outcome.refusal.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert_all_open(memory, 90)


def test_a_stream_that_is_out_of_time_does_not_seal(memory: MemoryService, client: GrpcClient) -> None:
    streams = []
    for _ in range(20):
        stream = client.open_stream(timeout_s=0.5)
        stream.write(opening(), sending(rows_of(1, 2), 1))
        streams.append(stream)
    for stream in streams:
        outcome = stream.rest()
        assert outcome.refusal is not None
        assert outcome.refusal.status is grpc.StatusCode.DEADLINE_EXCEEDED
    opened = len(list(memory.tasks.scan()))  # on a slow machine not all came so far
    assert opened
    assert_all_open(memory, opened)


def test_a_closed_connection_does_not_seal(memory: MemoryService) -> None:
    with serving(memory) as target:
        for _ in range(20):
            gone = GrpcClient(target, memory.token())
            stream = gone.open_stream()
            stream.write(opening(ack_batches=True), sending(rows_of(1, 2), 1))
            stream.read()
            stream.read()
            gone.close()
            stream.done()
        assert_all_open(memory, 20)


DYING_CLIENT = """
import os, signal, sys
from tests.support.grpc_client import GrpcClient, opening, rows_of, sending
target, token, request_ids = sys.argv[1], sys.argv[2], sys.argv[3:]
client = GrpcClient(target, token)
for request_id in request_ids:
    stream = client.open_stream()
    stream.write(opening(request_id=request_id, ack_batches=True), sending(rows_of(1, 2), 1), sending(rows_of(5, 2), 3))
    for _ in range(3):
        stream.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def die_in_the_middle(target: str, token: str, *request_ids: str) -> None:
    """A process that opens streams, gets batches 1 and 3 acknowledged, and is killed."""
    command = [sys.executable, "-c", DYING_CLIENT, target, token, *request_ids]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == -9


def test_row_36_a_killed_sender_does_not_seal(memory: MemoryService) -> None:
    with serving(memory) as target:
        die_in_the_middle(target, memory.token(), *(f"r{number}" for number in range(20)))
        assert_all_open(memory, 20)


def test_a_killed_sender_is_continued_where_it_was(memory: MemoryService) -> None:
    with serving(memory) as target:
        token = memory.token()
        die_in_the_middle(target, token, "r")
        client = GrpcClient(target, token)
        stream = client.open_stream()
        stream.write(opening(request_id="r"))
        first = stream.read()
        assert (first.replayed, list(first.held_sequences)) == (True, [1, 3])
        stream.write(sending(rows_of(3, 2), 2))
        stream.done()
        final = stream.rest().last
        client.close()
        assert (final.task_id, final.status) == (first.task_id, pb.TASK_STATUS_COMPLETED)
    rows = csv.reader(io.StringIO(memory.file(first.task_id).decode("utf-8-sig"), newline=""))
    assert list(rows)[1:] == [list(row) for row in rows_of(1, 6)]


def test_what_broke_off_is_told_to_the_journal(memory: MemoryService, client: GrpcClient) -> None:
    stream = client.open_stream()
    stream.write(opening(ack_batches=True), sending(rows_of(1, 2), 1))
    task_id = stream.read().task_id
    stream.read()
    stream.cancel()
    wait_until(lambda: broken_streams(memory) == 1)
    (told,) = memory.journal.of(Event.STREAM_ERROR)
    assert (told["task_id"], told["tenant"], told["batches"]) == (task_id, "acme", 1)
    assert told["reason"] == "the sender went away"


@pytest.mark.parametrize("batches", [0, 1])
def test_a_silent_stream_is_broken_off_and_can_be_continued(tmp_path: Path, batches: int) -> None:
    memory = MemoryService(tmp_path)
    with serving_client(memory, limits=GrpcLimits(message_timeout_s=1.5)) as client:
        stream = client.open_stream()
        stream.write(opening(request_id="r"), *[sending(rows_of(1, 2), 1)] * batches)
        stream.read()
        outcome = stream.rest()
        assert outcome.refusal is not None
        assert outcome.refusal.status is grpc.StatusCode.CANCELLED
        wait_until(lambda: broken_streams(memory) == 1)
        (told,) = memory.journal.of(Event.STREAM_ERROR)
        assert told["reason"] == "no message came in time"
        assert memory.only_row().state is State.OPEN
        continued = client.export([opening(request_id="r"), sending(rows_of(1, 2), 1)])
        assert (continued.last.status, continued.last.record_count) == (pb.TASK_STATUS_COMPLETED, 2)


def test_waiting_for_the_result_is_not_silence(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory, limits=GrpcLimits(message_timeout_s=1.5)) as client:
        outcome = client.export([opening(wait_timeout_s=3), sending(rows_of(1, 2), 1)])
        assert (outcome.refusal, outcome.last.status) == (None, pb.TASK_STATUS_QUEUED)


def test_a_request_that_never_comes_frees_its_call(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path)
    with serving_client(memory, limits=GrpcLimits(message_timeout_s=1.5)) as client:
        stream = client.open_stream()  # the headers of a call, and nothing else
        silent = raw_stream(client.channel, "/export.ExportService/QueryTaskStatus")
        call = silent(iter(stream._queue.get, None), metadata=client.metadata, timeout=20)
        assert refused(lambda: list(call)).status is grpc.StatusCode.CANCELLED
        stream.cancel()


def test_a_client_that_leaves_frees_the_thread_that_waits_for_its_result(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory, limits=GrpcLimits(calls_max=1)) as client:
        for _ in range(3):  # each needs the only thread
            stream = client.open_stream()
            stream.write(opening(), sending(rows_of(1, 2), 1))
            task_id = stream.read().task_id
            stream.done()
            wait_until(lambda task_id=task_id: memory.row(task_id).state is State.SEALED)  # type: ignore[misc]  # bound now
            stream.cancel()
            wait_until(lambda: _answers(client))


def _answers(client: GrpcClient) -> bool:
    try:
        client.call("ListTasks", pb.ListTasksRequest())
    except grpc.RpcError:
        return False
    return True
