"""No tenant, no stranger and no silent caller takes what the others need; a revoked key ends what it began."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from sluice.api.api_keys import list_keys, revoke_key
from sluice.api.auth import LOCAL_TENANT, NO_KEY, TENANT_SHARE, KeyRing, Principal, Shares
from sluice.api.grpc import call_threads
from sluice.api.grpc.message_room import MessageRoom
from sluice.api.grpc.server import REQUESTS_OF_TENANT, GrpcLimits
from sluice.api.grpc.service import METHODS
from sluice.api.http.routes.health import HealthApp, HealthChecks
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.domain.api_key import Scope
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TenantId
from sluice.domain.limits import KIB, MIB, Limits
from sluice.proto import export_pb2 as pb
from sluice.tables.readers.gunzip import Gunzip
from tests.support.decoding import take_every_turn
from tests.support.fake_clock import FakeClock
from tests.support.grpc_client import (
    GrpcClient,
    OpenStream,
    batch_of,
    metadata_of,
    opening,
    refusal_of,
    rows_of,
    sending,
    serving,
)
from tests.support.http_calls import CALLER
from tests.support.http_client import ApiClient, HttpRelay, code_of, http_relay
from tests.support.memory_service import MemoryService
from tests.support.raw_http2 import ACK, DATA, FRAME_BYTES_MAX, SETTINGS, WINDOW_UPDATE, RawConnection, raw_connection

CALLS = 8
WAIT_S = 60


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path, paused=True)


@contextmanager
def grpc_clients(memory: MemoryService, *tenants: str) -> Iterator[list[GrpcClient]]:
    with serving(memory, limits=GrpcLimits(calls_max=CALLS)) as target, ExitStack() as stack:
        yield [stack.enter_context(closing(GrpcClient(target, memory.token(tenant)))) for tenant in tenants]


def silent_streams(client: GrpcClient, count: int) -> list[OpenStream]:
    """Streams that were opened and say no more."""
    streams = [client.open_stream(timeout_s=WAIT_S) for _ in range(count)]
    for stream in streams:
        stream.write(opening(ack_batches=True))
        stream.read()
    return streams


def end(streams: list[OpenStream]) -> None:
    for stream in streams:
        stream.cancel()


def test_one_tenants_silent_streams_leave_calls_to_the_others(memory: MemoryService) -> None:
    with grpc_clients(memory, "greedy", "other") as (greedy, other):
        streams = silent_streams(greedy, int(CALLS * TENANT_SHARE))
        said = greedy.refused("ListTasks", pb.ListTasksRequest())
        assert (said.code, said.facts["tenant_max"]) == ("QUEUE_FULL", len(streams))
        other.call("ListTasks", pb.ListTasksRequest())
        end(streams)
        until_answered(greedy)


def test_calls_whose_messages_are_on_their_way_leave_room_for_those_of_others(memory: MemoryService) -> None:
    """Room is for eight messages of the largest size, half of them one tenant's, however many calls there may be."""
    limits = GrpcLimits(message_bytes_max=MIB, messages_bytes_max=MIB, message_timeout_s=WAIT_S)
    with serving(memory, limits=limits) as target, ExitStack() as stack:
        port = int(target.rpartition(":")[2])
        key = memory.token("greedy")
        halves = [stack.enter_context(half_a_message(port, key, 512 * KIB)) for _ in range(4)]
        greedy = stack.enter_context(closing(GrpcClient(target, key)))
        other = stack.enter_context(closing(GrpcClient(target, memory.token("other"))))
        one_more = greedy.open_stream(timeout_s=WAIT_S)
        one_more.write(opening())
        for _ in range(20):
            other.call("ListTasks", pb.ListTasksRequest())
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(one_more.read)
            assert not answer.done()
            halves[0].close()
            assert answer.result(WAIT_S).task_id, "it waited for the room of the one that ended"
        one_more.cancel()


EIGHT_PLACES = GrpcLimits(message_bytes_max=MIB, messages_bytes_max=MIB, message_timeout_s=10 * WAIT_S)
"""Room for eight messages of the largest size: four of the first tenant that comes, and two of the second."""


@pytest.mark.parametrize("places", [(4,), (4, 2, 1, 1)])
def test_streams_that_wait_for_their_senders_keep_no_call_without_rows_out(
    memory: MemoryService, places: tuple[int, ...]
) -> None:
    """All the room that a tenant, or all together, may have is taken."""
    with serving(memory, limits=EIGHT_PLACES) as target, ExitStack() as stack:
        keys = [memory.token(f"slow{number}") for number in range(len(places))]
        clients = [stack.enter_context(closing(GrpcClient(target, key))) for key in keys]
        taken = zip(clients, places, strict=True)
        streams = [stream for client, count in taken for stream in silent_streams(client, count)]
        others = [*clients, stack.enter_context(closing(GrpcClient(target, memory.token("other"))))]
        for client in others:
            task_id = client.call("OpenExport", metadata_of(("ID", "Name"))).task_id
            for method in ("QueryTaskStatus", "CancelExport"):
                client.call(method, pb.TaskStatusRequest(task_id=task_id))
            client.call("ListTasks", pb.ListTasksRequest())
        for stream in streams:
            stream.write(sending(rows_of(1, 2), 1))
            assert stream.read().batch_ack.records == 2
        end(streams)


def test_two_tenants_streams_of_which_no_more_comes_leave_room_for_those_of_others(memory: MemoryService) -> None:
    with serving(memory, limits=EIGHT_PLACES) as target, ExitStack() as stack:
        port, keys = int(target.rpartition(":")[2]), [memory.token(f"slow{number}") for number in range(2)]
        slow = [stack.enter_context(closing(GrpcClient(target, key))) for key in keys]
        streams = silent_streams(slow[0], 4) + silent_streams(slow[1], 2)
        for key in keys:
            for _ in range(4):
                stack.enter_context(half_a_message(port, key, 16 * KIB))
        for tenant in ("third", "fourth"):
            client = stack.enter_context(closing(GrpcClient(target, memory.token(tenant))))
            stream = client.open_stream(timeout_s=WAIT_S / 4)
            stream.write(opening(ack_batches=True))
            assert stream.read().task_id
            stream.write(sending(rows_of(1, 2), 1))
            assert stream.read().batch_ack.records == 2
            streams.append(stream)
        end(streams)


def test_a_question_waits_for_no_batch_that_is_decoded(memory: MemoryService) -> None:
    with serving(memory) as target, closing(GrpcClient(target, memory.token())) as client:
        task_id = client.call("OpenExport", metadata_of(("ID", "Name"))).task_id
        turns = take_every_turn(memory.service)
        client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=task_id))
        client.call("ListTasks", pb.ListTasksRequest())
        with ThreadPoolExecutor(1) as pool:
            batch = pb.PutBatchRequest(task_id=task_id, batch=batch_of(rows_of(1, 2), 1))
            put = pool.submit(client.call, "PutBatch", batch)
            client.call("ListTasks", pb.ListTasksRequest())
            assert not put.done(), "a batch has its turn"
            for turn in turns:
                turn.leave()
            assert put.result(WAIT_S).records == 2


def test_a_request_that_does_not_come_keeps_its_tenant_from_few_others_and_other_tenants_from_none(
    memory: MemoryService,
) -> None:
    with serving(memory) as target, ExitStack() as stack:
        greedy, other = (stack.enter_context(closing(GrpcClient(target, memory.token(t)))) for t in ("greedy", "other"))
        path = "/export.ExportService/ListTasks"
        ask: grpc.StreamStreamMultiCallable[bytes, bytes] = greedy.channel.stream_stream(path)
        come = threading.Event()

        def nothing() -> Iterator[bytes]:
            assert come.wait(WAIT_S)
            yield b""

        mute = [ask(nothing(), metadata=greedy.metadata, timeout=WAIT_S) for _ in range(2 * REQUESTS_OF_TENANT)]
        for _ in range(20):
            other.call("ListTasks", pb.ListTasksRequest())
        come.set()
        for call in mute:
            assert len(list(call)) == 1


@contextmanager
def half_a_message(port: int, key: str, size: int) -> Iterator[RawConnection]:
    """A connection on which ``size`` bytes of a message came, and no more do."""
    with raw_connection(f"127.0.0.1:{port}") as raw:
        raw.greet()
        raw.frame(SETTINGS, flags=ACK)
        raw.call(1, "/export.ExportService/StreamExport", {"authorization": f"Bearer {key}"})
        data, window, frames = b"\0" + (2 * size).to_bytes(4) + bytes(size), 65_535, raw.frames()
        while data:
            piece = data[: min(window, FRAME_BYTES_MAX)]
            if piece:
                raw.frame(DATA, piece, stream=1)
                data, window = data[len(piece) :], window - len(piece)
            else:
                frame = next(frames)
                window += int.from_bytes(frame.payload) if (frame.kind, frame.stream) == (WINDOW_UPDATE, 0) else 0
        yield raw


def test_a_call_gets_no_room_once_its_time_is_over_or_its_caller_has_gone() -> None:
    clock = FakeClock()
    caller = Principal(tenant=TenantId("t"), key_id="key", scopes=frozenset())
    shares = Shares(4, share=0.5, what="bytes of messages")

    def room(*, is_active: bool = True) -> MessageRoom:
        return MessageRoom(shares, caller, needed=2, keeps=True, clock=clock, wait_s=5, is_active=lambda: is_active)

    first, began = room(), clock.monotonic()
    first.take()
    first.take()  # it has its room
    with pytest.raises(SluiceError, match="QUEUE_FULL"):
        room().take()
    assert clock.monotonic() - began >= 5
    began = clock.monotonic()
    with pytest.raises(SluiceError, match="QUEUE_FULL"):
        room(is_active=False).take()
    assert clock.monotonic() == began
    first.shrink(1)
    with pytest.raises(SluiceError, match="QUEUE_FULL"):
        room().take()
    first.give_back()
    first.give_back()
    room().take()


def test_a_stream_whose_rows_are_all_there_leaves_its_room_while_it_waits_for_its_file(memory: MemoryService) -> None:
    limits = GrpcLimits(message_bytes_max=MIB, messages_bytes_max=MIB, message_timeout_s=WAIT_S)
    with serving(memory, limits=limits) as target, closing(GrpcClient(target, memory.token())) as client:
        streams = []
        for _ in range(5):
            streams += silent_streams(client, 1)
            streams[-1].done()
        client.call("ListTasks", pb.ListTasksRequest())
        end(streams)


def until_answered(client: GrpcClient) -> None:
    """A call is answered once the server has seen the end of what was in its way."""
    for _ in range(10_000):
        try:
            client.call("ListTasks", pb.ListTasksRequest())
        except grpc.RpcError as error:
            if refusal_of(error).code != "QUEUE_FULL":
                raise
        else:
            return
    raise AssertionError("the calls never came back")


def test_all_tenants_together_have_what_there_is_and_what_is_given_back_is_free() -> None:
    shares = Shares(2, share=0.5, what="calls")
    callers = [Principal(tenant=TenantId(f"t{n}"), key_id="key", scopes=frozenset()) for n in range(3)]
    give_back = [shares.take(caller) for caller in callers[:2]]
    with pytest.raises(SluiceError, match="QUEUE_FULL"):
        shares.take(callers[2])
    for _ in range(2):
        give_back[0]()  # the second time it gives nothing
    shares.take(callers[2])
    with pytest.raises(SluiceError, match="QUEUE_FULL"):
        shares.take(callers[0])


def caller_of(tenant: int) -> Principal:
    return Principal(tenant=TenantId(f"t{tenant}"), key_id="key", scopes=frozenset())


def filled(shares: Shares, tenant: int, amount: int = 1) -> int:
    """How many times a tenant that asks until it is refused may take so much."""
    taken = 0
    with suppress(SluiceError):
        while True:
            shares.add(caller_of(tenant), amount)
            taken += 1
    return taken


@pytest.mark.parametrize(
    ("total", "share", "least", "taken"),
    [
        (48, 0.5, 1, [24, 12, 6, 3, 1, 1, 1]),
        (200, 0.5, 1, [100, 50, 25, 12, 6, 3, 2, 1, 1]),
        (48, 0.25, 1, [12, 12, 12, 6, 3, 1, 1, 1]),
        (48, 0.75, 1, [36, 9, 2, 1]),
        (4, 1, 1, [4]),
        (64, 0.5, 8, [32, 16, 8, 8]),
        (128, 0.5, 12, [64, 32, 16, 12, 4]),
    ],
)
def test_what_is_free_is_halved_by_each_tenant_that_takes_all_it_may(
    total: int, share: float, least: int, taken: list[int]
) -> None:
    shares = Shares(total, share=share, what="calls", least=least)
    assert [filled(shares, tenant) for tenant in range(len(taken) + 1)] == [*taken, 0]


def test_what_the_first_gives_back_is_for_those_that_have_less() -> None:
    shares = Shares(48, what="calls")
    first, second = filled(shares, 0), filled(shares, 1)
    for _ in range(4):
        shares.remove(caller_of(0))
        assert filled(shares, 0) == 0
        first, second = first - 1, second + filled(shares, 1)
    assert (first, second) == (20, 14)
    with pytest.raises(SluiceError, match=r"The tenant has as many .* while others have theirs") as refused:
        shares.add(caller_of(0))
    assert refused.value.facts["tenant_max"] == 17
    shares.remove(caller_of(1), second)
    assert filled(shares, 0) == 4, "alone again, it has its share of all"


def test_a_tenant_that_has_something_small_finds_room_for_what_a_caller_needs_at_once() -> None:
    shares = Shares(64, what="bytes of messages", least=8)
    shares.add(caller_of(1), 1)
    for tenant, taken in ((0, 3), (2, 2), (3, 1)):
        assert filled(shares, tenant, 8) == taken
    shares.add(caller_of(1), 7)


def test_where_there_are_no_keys_the_one_tenant_has_everything() -> None:
    shares = Shares(4, share=0.5, what="calls")
    caller = Principal(tenant=LOCAL_TENANT, key_id=NO_KEY, scopes=frozenset())
    assert len([shares.take(caller) for _ in range(4)]) == 4


def test_a_system_without_threads_refuses_calls_and_grpc_recovers(
    memory: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread:
        def __init__(self, **_: Any) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with grpc_clients(memory, "acme") as (client,):
        with monkeypatch.context() as patched:
            patched.setattr(call_threads, "Thread", NoThread)
            for _ in range(3):
                assert client.refused("ListTasks", pb.ListTasksRequest()).code == "QUEUE_FULL"
        client.call("ListTasks", pb.ListTasksRequest())


def test_liveness_tells_when_something_ended_that_only_a_start_brings_back() -> None:
    failing: list[Exception] = []

    def check() -> None:
        if failing:
            raise failing[0]

    with health(check) as client:
        assert client.get("/health/live").status_code == 200
        failing.append(RuntimeError("gRPC takes no calls"))
        assert client.get("/health/live").status_code == 503


@contextmanager
def health(check: Any, listen_on: ListenOn | None = None) -> Iterator[httpx.Client]:
    checks = HealthChecks(ready={}, dependencies={})
    app = HealthApp(checks, clock=FakeClock(), metrics=lambda: b"", metrics_type="text/plain")
    app.live_while("grpc", check)
    server = HttpServer(app.build(), listen_on or ListenOn(), new_request_id=str)
    port = server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=WAIT_S) as client:
            yield client
    finally:
        server.drain(deadline_s=1)


def test_health_answers_however_many_silent_connections_there_are() -> None:
    with health(lambda: None, ListenOn(connections_max=20, idle_s=WAIT_S)) as client, ExitStack() as stack:
        assert client.base_url.port
        for _ in range(200):
            silent = socket.create_connection(("127.0.0.1", client.base_url.port), timeout=WAIT_S)
            stack.callback(silent.close)
        for _ in range(3):
            assert CALLER.get(f"{client.base_url}/health/live", timeout=WAIT_S).status_code == 200


def test_strangers_connections_have_a_small_pool_and_a_caller_keeps_its_own(tmp_path: Path) -> None:
    with http_relay(tmp_path, idle_s=WAIT_S) as relay, ExitStack() as stack:
        client = relay.client()
        assert client.get("/v1/exports").status_code == 200
        silent = [socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S) for _ in range(300)]
        for one in silent:
            stack.callback(one.close)
        assert silent[0].recv(1) == b""  # it was closed for those that came after it
        assert client.get("/v1/exports").status_code == 200
        assert relay.client("other").get("/v1/exports").status_code == 200


def test_one_tenants_dripping_tables_leave_senders_to_the_others(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay, ExitStack() as stack:
        greedy, other = relay.client("greedy"), relay.client("other")
        for _ in range(8):
            stack.enter_context(closing(dripping_table(greedy)))
        refused = answer_of(lambda: send_table(greedy), until="QUEUE_FULL")
        assert refused.json()["tenant_max"] == 8
        assert send_table(other).status_code == 202


def send_table(client: ApiClient) -> httpx.Response:
    headers = {"Content-Type": "text/csv"}
    return client.post("/v1/exports/stream?format=csv", content=b"a\n1\n", headers=headers)


def answer_of(call: Any, *, until: str) -> httpx.Response:
    """Call until the server has seen all that was sent before on other connections."""
    for _ in range(10_000):
        answer: httpx.Response = call()
        if answer.status_code >= 400 and code_of(answer) == until:
            return answer
    raise AssertionError(f"there was never {until}")


def dripping_table(client: ApiClient) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.relay.port), timeout=WAIT_S)
    key = client.headers["Authorization"]
    head = f"POST /v1/exports/stream?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
    connection.sendall(f"{head}Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n".encode())
    return connection


def test_packed_bodies_of_a_tenant_are_unpacked_one_at_a_time_and_wait_for_no_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes may become megabytes: unpacked where all calls are served, they would stop them all."""
    large = gzip.compress(b" " * (Limits().input_bytes_max + 1_000))
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    feed, unpacked, most = Gunzip.feed, 0, 0

    def watched(gunzip: Gunzip, data: bytes) -> Iterator[bytes]:
        nonlocal unpacked, most
        unpacked += 1
        most = max(most, unpacked)
        try:
            yield from feed(gunzip, data)
        finally:
            unpacked -= 1

    monkeypatch.setattr(Gunzip, "feed", watched)
    with http_relay(tmp_path) as relay, ThreadPoolExecutor(3) as threads:
        greedy, other = relay.client("greedy"), relay.client("other")
        path, turns = f"/v1/exports/{greedy.open()}/batches/", take_every_turn(relay.memory.service)
        first = threads.submit(greedy.put, f"{path}1", json=[["1", "a"]])
        more = [threads.submit(greedy.put, f"{path}{n}", content=large, headers=packed) for n in (2, 3)]
        for _ in range(30):
            assert other.get("/v1/exports").status_code == 200
        assert [put.result(WAIT_S).status_code for put in more] == [413, 413]
        assert not first.done()
        for turn in turns:
            turn.leave()
        assert (first.result(WAIT_S).status_code, most) == (200, 1)


def revoke_all(memory: MemoryService) -> None:
    for key in list_keys(memory.keys):
        revoke_key(memory.keys, key.key_id, clock=memory.clock)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[HttpRelay]:
    with http_relay(tmp_path, paused=True) as running:
        yield running
        running.memory.invoker.release()


def test_a_stream_of_events_ends_when_its_key_is_revoked(relay: HttpRelay) -> None:
    client = relay.client()
    with client.stream("GET", f"/v1/exports/{client.open()}/events", timeout=WAIT_S) as events:
        lines = events.iter_lines()
        assert next(lines).startswith("id: ")
        revoke_all(relay.memory)
        rest = "\n".join(lines)
    assert "event: problem" in rest
    assert "UNAUTHENTICATED" in rest


@pytest.mark.parametrize("what", ["batch", "table", "open", "close"])
def test_a_body_whose_key_is_revoked_while_it_arrives_is_not_stored(relay: HttpRelay, what: str) -> None:
    client = relay.client()
    task_id, tasks = client.open(), relay.memory.ports.tasks
    before = list(tasks.scan())
    call, kind, body = {
        "batch": (f"PUT /v1/exports/{task_id}/batches/1", "application/json", b'[["1", "a"]]'),
        "table": ("POST /v1/exports/stream?format=csv", "text/csv", b"a\n1\n"),
        "open": ("POST /v1/exports", "application/json", b'{"format": "csv", "columns": ["a"]}'),
        "close": (f"POST /v1/exports/{task_id}/close", "application/json", b"{}"),
    }[what]
    head = f"{call} HTTP/1.1\r\nHost: x\r\nAuthorization: {client.headers['Authorization']}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 "), "the call was let in and waits for its body"
        revoke_all(relay.memory)
        connection.sendall(body)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 401 ")
    assert list(tasks.scan()) == before


MESSAGES: dict[str, Callable[[str], Message]] = {
    "OpenExport": lambda _: metadata_of(("a",)),
    "PutBatch": lambda task_id: pb.PutBatchRequest(task_id=task_id, batch=batch_of([("1", "a")], 1)),
    "CloseExport": lambda task_id: pb.CloseExportRequest(task_id=task_id),
    "CancelExport": lambda task_id: pb.TaskStatusRequest(task_id=task_id),
    "RenderExport": lambda task_id: pb.RenderExportRequest(task_id=task_id),
    "QueryTaskStatus": lambda task_id: pb.TaskStatusRequest(task_id=task_id),
    "CreateDownloadLink": lambda task_id: pb.TaskStatusRequest(task_id=task_id),
    "ListTasks": lambda _: pb.ListTasksRequest(),
    "StreamExport": lambda _: opening(),
    "ListDatasets": lambda _: pb.ListDatasetsRequest(),
    "DescribeDataset": lambda _: pb.DatasetRequest(dataset="orders"),
    "PreviewDataset": lambda _: pb.PreviewDatasetRequest(),
    "ExportDataset": lambda _: pb.ExportDatasetRequest(),
    "ListDatasetExports": lambda _: pb.DatasetRequest(dataset="orders"),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_message_over_grpc_whose_key_is_revoked_before_it_comes_does_nothing(
    memory: MemoryService, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in, come = threading.Event(), threading.Event()
    authenticate = KeyRing.authenticate

    def watched(ring: KeyRing, header: str | None) -> Principal:
        principal = authenticate(ring, header)
        let_in.set()
        return principal

    def message() -> Iterator[bytes]:
        assert come.wait(WAIT_S)
        yield MESSAGES[method](task_id).SerializeToString()

    with serving(memory) as target, closing(GrpcClient(target, memory.token())) as client:
        task_id = client.call("OpenExport", metadata_of(("ID", "Name"))).task_id
        before = list(memory.tasks.scan())
        metadata = client.metadata
        if METHODS[method].scope is Scope.ACT_FOR:
            metadata = (("authorization", f"Bearer {memory.token(scope=Scope.ACT_FOR)}"), ("sluice-user", "ann"))
        monkeypatch.setattr(KeyRing, "authenticate", watched)
        path = f"/export.ExportService/{method}"
        ask: grpc.StreamStreamMultiCallable[bytes, bytes] = client.channel.stream_stream(path)
        call = ask(message(), metadata=metadata, timeout=WAIT_S)
        assert let_in.wait(WAIT_S)
        revoke_all(memory)
        come.set()
        with pytest.raises(grpc.RpcError) as refused:
            list(call)
        assert refusal_of(refused.value).code == "UNAUTHENTICATED"
        assert list(memory.tasks.scan()) == before


def test_a_long_poll_ends_when_its_key_is_revoked(relay: HttpRelay) -> None:
    client = relay.client()
    task_id = client.open()
    journal = relay.memory.journal
    with ThreadPoolExecutor(1) as thread:
        poll = thread.submit(client.get, f"/v1/exports/{task_id}?wait=60", timeout=WAIT_S)
        while not journal.of(Event.STATUS_QUERIED):
            assert not poll.done()
        revoke_all(relay.memory)
        answer = poll.result(WAIT_S)
    assert (answer.status_code, code_of(answer)) == (401, "UNAUTHENTICATED")


def test_a_grpc_stream_ends_when_its_key_is_revoked(memory: MemoryService) -> None:
    with grpc_clients(memory, "acme") as (client,):
        stream = client.open_stream(timeout_s=WAIT_S)
        stream.write(opening(ack_batches=True))
        stream.read()
        revoke_all(memory)
        stream.write(pb.ExportRequest(batch=pb.DataBatch(records=[pb.Record(values=["1", "a"])])))
        assert stream.rest().answer[0] == "UNAUTHENTICATED"


def test_a_grpc_call_that_waits_for_its_file_ends_when_its_key_is_revoked(memory: MemoryService) -> None:
    with grpc_clients(memory, "acme") as (client,):
        stream = client.open_stream(timeout_s=WAIT_S)
        stream.write(opening(ack_batches=True))
        stream.read()
        stream.done()
        revoke_all(memory)
        assert stream.rest().answer[0] == "UNAUTHENTICATED"
