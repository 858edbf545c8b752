"""What a caller may take from the gRPC server, and that taking more harms nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event as Flag

import grpc
import pytest

from sluice.api.grpc.server import GrpcLimits
from sluice.domain.limits import MIB
from sluice.domain.task import State
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import (
    GrpcClient,
    batch_of,
    metadata_of,
    opening,
    raw_stream,
    rows_of,
    sending,
    serving,
    serving_client,
)
from tests.support.memory_service import MemoryService
from tests.support.raw_http2 import (
    ACK,
    CANCEL,
    DATA,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    MAX_CONCURRENT_STREAMS,
    MAX_HEADER_LIST_SIZE,
    PING,
    RST_STREAM,
    SETTINGS,
    goaway_code,
    raw_connection,
    settings_of,
)

Status = grpc.StatusCode
PATH = "/export.ExportService/StreamExport"


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path)


@pytest.fixture
def client(memory: MemoryService) -> Iterator[GrpcClient]:
    with serving_client(memory) as serving_one:
        yield serving_one


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def assert_serves(client: GrpcClient) -> None:
    outcome = client.export([opening(), sending(rows_of(1, 2), 1)])
    assert outcome.last.status == pb.TASK_STATUS_COMPLETED


def wide_batch(message_bytes: int) -> pb.PutBatchRequest:
    """A request of exactly this many bytes."""
    request = pb.PutBatchRequest(task_id="a" * 26, batch=batch_of([["x" * (message_bytes - 100)]], 1))
    request.batch.records[0].values[0] += "x" * (message_bytes - request.ByteSize())
    assert request.ByteSize() == message_bytes
    return request


def test_s17_a_message_over_8_mib_is_not_even_read(client: GrpcClient) -> None:
    over = client.refused("PutBatch", wide_batch(8 * MIB + 1))
    assert (over.code, over.status) == ("", Status.RESOURCE_EXHAUSTED)
    assert client.refused("PutBatch", wide_batch(8 * MIB)).code == "TASK_NOT_FOUND"
    assert_serves(client)


def test_s17_a_message_of_5_mb_is_a_batch_too_large(client: GrpcClient) -> None:
    task_id = client.call("OpenExport", metadata_of(["a"])).task_id
    batch = batch_of([["x" * 5_000_000]], 1)
    said = client.refused("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch))
    assert (said.code, said.status) == ("BATCH_TOO_LARGE", Status.RESOURCE_EXHAUSTED)


def test_s17_a_small_message_that_unpacks_to_64_mb_is_refused(client: GrpcClient) -> None:
    bomb = pb.PutBatchRequest(task_id="\0" * 64_000_000)
    said = client.refused("PutBatch", bomb, compression=grpc.Compression.Gzip)
    assert (said.code, said.status) == ("", Status.RESOURCE_EXHAUSTED)
    assert_serves(client)


def test_a_compressed_batch_is_welcome(memory: MemoryService, client: GrpcClient) -> None:
    task_id = client.call("OpenExport", metadata_of()).task_id
    request = pb.PutBatchRequest(task_id=task_id, batch=batch_of(rows_of(1, 1000), 1))
    client.call("PutBatch", request, compression=grpc.Compression.Gzip)
    assert memory.row(task_id).rows_received == 1000


@pytest.mark.parametrize("metadata", [[("x", "y" * 1_000_000)], [(f"x-{n}", "y") for n in range(100_000)]])
def test_s17_a_client_cannot_send_endless_headers(client: GrpcClient, metadata: list[tuple[str, str]]) -> None:
    headers = (*client.metadata, *metadata)
    said = client.refused("ListTasks", pb.ListTasksRequest(), metadata=headers)
    assert said.status is Status.RESOURCE_EXHAUSTED
    assert_serves(client)


@pytest.mark.parametrize(("kilobytes", "acknowledges"), [(1_000, True), (1_000, False), (20_000, False)])
def test_s17_a_hostile_client_cannot_either(memory: MemoryService, kilobytes: int, *, acknowledges: bool) -> None:
    with serving(memory) as target:
        with raw_connection(target) as raw:
            raw.greet()
            if acknowledges:
                raw.frame(SETTINGS, flags=ACK)
            endless = {f"x-{number}": "y" * 1_000 for number in range(kilobytes)}
            raw.call(1, PATH, {"authorization": f"Bearer {memory.token()}", **endless})
            answer = raw.next(HEADERS)
        assert answer is not None
        assert b"grpc-status\x018" in answer.payload or b"error-code\x0fINVALID_REQUEST" in answer.payload
        client = GrpcClient(target, memory.token())
        assert_serves(client)
        client.close()
    assert len(list(memory.tasks.scan())) == 1


def test_s19_the_server_states_its_limits(memory: MemoryService) -> None:
    with serving(memory) as target, raw_connection(target) as raw:
        raw.greet()
        frame = raw.next(SETTINGS)
        assert frame is not None
        stated = settings_of(frame)
    assert (stated[MAX_CONCURRENT_STREAMS], stated[MAX_HEADER_LIST_SIZE]) == (100, 16 * 1024)


def test_s19_who_floods_with_pings_is_told_to_calm_down(memory: MemoryService) -> None:
    with serving(memory) as target:
        with raw_connection(target) as raw:
            raw.greet()
            with suppress(OSError):  # until the server has had enough
                for _ in range(1_000):
                    raw.frame(PING, b"12345678")
            frame = raw.next(GOAWAY)
        assert frame is not None
        assert goaway_code(frame) == ENHANCE_YOUR_CALM
        client = GrpcClient(target, memory.token())
        assert_serves(client)
        client.close()


def test_s19_calls_that_are_reset_at_once_do_not_use_up_the_server(memory: MemoryService) -> None:
    with serving(memory) as target:
        header = {"authorization": f"Bearer {memory.token()}"}
        with raw_connection(target) as raw:
            raw.greet()
            with suppress(OSError):  # the server may hang up
                for stream in range(1, 6_001, 2):
                    raw.call(stream, PATH, header)
                    raw.frame(RST_STREAM, CANCEL.to_bytes(4, "big"), stream=stream)
            client = GrpcClient(target, memory.token())
            assert_serves(client)
            client.close()
    assert len(list(memory.tasks.scan())) == 1


def test_s19_a_connection_that_does_not_begin_to_speak_is_closed(memory: MemoryService) -> None:
    with serving(memory, limits=GrpcLimits(handshake_timeout_s=0.3)) as target, raw_connection(target) as raw:
        assert GOAWAY in [frame.kind for frame in raw.frames()]  # to the end of the connection


def test_s19_a_connection_without_a_call_is_closed(memory: MemoryService) -> None:
    with serving(memory, limits=GrpcLimits(idle_timeout_s=0.3)) as target, raw_connection(target) as raw:
        raw.greet()
        assert raw.next(GOAWAY) is not None


def test_s19_who_does_not_answer_pings_is_gone(memory: MemoryService) -> None:
    limits = GrpcLimits(keepalive_time_s=1, keepalive_timeout_s=0.3)
    with serving(memory, limits=limits) as target, raw_connection(target) as raw:
        raw.greet()
        raw.frame(SETTINGS, flags=ACK)
        raw.call(1, PATH, {"authorization": f"Bearer {memory.token()}"})
        kinds = [frame.kind for frame in raw.frames()]  # to the end of the connection
    assert PING in kinds


def test_s19_a_message_that_trickles_in_is_broken_off(memory: MemoryService) -> None:
    with serving(memory, limits=GrpcLimits(message_timeout_s=0.4)) as target, raw_connection(target) as raw:
        raw.greet()
        raw.frame(SETTINGS, flags=ACK)
        raw.call(1, PATH, {"authorization": f"Bearer {memory.token()}"})
        raw.frame(DATA, b"\0" + (1_000).to_bytes(4, "big"), stream=1)  # a message of 1000 bytes begins
        with suppress(OSError):
            for _ in range(10):
                raw.frame(DATA, b"x", stream=1)
                time.sleep(0.1)
        assert raw.next(RST_STREAM) is not None
    assert list(memory.tasks.scan()) == []


def test_a_connection_that_is_too_old_is_closed_and_its_stream_does_not_seal(memory: MemoryService) -> None:
    limits = GrpcLimits(connection_age_s=0.3, connection_grace_s=0.3)
    with serving_client(memory, limits=limits) as client:
        stream = client.open_stream()
        stream.write(opening(request_id="r"), sending(rows_of(1, 2), 1))
        outcome = stream.rest()
        assert outcome.refusal is not None
        assert outcome.refusal.status is Status.UNAVAILABLE
        assert memory.only_row().state is State.OPEN
        again = client.export([opening(request_id="r"), sending(rows_of(1, 2), 1)])
        assert again.last.record_count == 2


def test_more_calls_than_there_may_be_are_turned_away_and_room_comes_back(memory: MemoryService) -> None:
    with serving_client(memory, limits=GrpcLimits(calls_max=2, tenant_share=1)) as client:
        streams = [client.open_stream() for _ in range(2)]
        for stream in streams:
            stream.write(opening())
            stream.read()
        said = client.refused("ListTasks", pb.ListTasksRequest())
        assert said.status is Status.RESOURCE_EXHAUSTED
        for stream in streams:
            stream.done()
            assert stream.rest().last.status == pb.TASK_STATUS_COMPLETED
        wait_until(lambda: _answers(client))


def _answers(client: GrpcClient) -> bool:
    try:
        client.call("ListTasks", pb.ListTasksRequest())
    except grpc.RpcError:
        return False
    return True


def test_calls_of_one_connection_wait_for_each_other(memory: MemoryService) -> None:
    with serving_client(memory, limits=GrpcLimits(calls_per_connection_max=1)) as client:
        client.call("ListTasks", pb.ListTasksRequest())  # the connection's settings have arrived
        stream = client.open_stream()
        stream.write(opening())
        stream.read()
        listing = client.stub.ListTasks.future(pb.ListTasksRequest(), metadata=client.metadata, timeout=20)
        with pytest.raises(grpc.FutureTimeoutError):
            listing.result(timeout=0.3)
        stream.done()
        stream.rest()
        assert len(listing.result(timeout=20).tasks) == 1


def test_30_streams_at_once_all_come_to_their_end(memory: MemoryService, client: GrpcClient) -> None:
    streams = [client.open_stream() for _ in range(30)]
    for stream in streams:
        stream.write(opening(), *(sending(rows_of(n, 20), n) for n in range(1, 6)))
        stream.done()
    outcomes = [stream.rest() for stream in streams]
    assert {outcome.last.status for outcome in outcomes} == {pb.TASK_STATUS_COMPLETED}
    assert len({outcome.last.task_id for outcome in outcomes}) == 30


def test_a_client_that_does_not_read_its_acks_holds_up_only_itself(memory: MemoryService) -> None:
    with serving_client(memory) as client:
        stuck = Flag()

        def requests() -> Iterator[bytes]:
            yield opening(ack_batches=True).SerializeToString()
            for number in range(1, 2_000):
                yield sending([("1", "a")], number).SerializeToString()
            stuck.wait(20)

        call = raw_stream(client.channel, PATH)(requests(), metadata=client.metadata, timeout=30)
        other = GrpcClient(client.target, memory.token())
        assert_serves(other)
        other.close()
        stuck.set()
        assert sum(1 for _ in call) == 2_001
