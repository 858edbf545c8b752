"""Who takes nothing of an answer over gRPC keeps neither a call nor room for long, and none once its key is revoked."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from google.protobuf.message import Message

from sluice.api.api_keys import list_keys, revoke_key
from sluice.api.grpc.server import GrpcLimits
from sluice.domain.events import Event
from sluice.domain.limits import KIB, MIB
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import GrpcClient, metadata_of, opening, sending, serving
from tests.support.memory_service import MemoryService
from tests.support.raw_http2 import (
    ACK,
    DATA,
    END_STREAM,
    FRAME_BYTES_MAX,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    RawConnection,
    raw_connection,
)

CALLS = 4
WINDOW = 4
"""The setting that says how much of each answer is taken before more is asked for."""
LONG_S = 600
TASKS = 400
WAIT_S = 60
BROKEN_OFF = {("ListTasks", "CANCELLED"), ("ListTasks", "OK")}
"""The answer of a list is its last word: gRPC may say that it has ended before it says that the caller is gone."""
LONG_NAME = "王" * 40
ALL = pb.ListTasksRequest(limit=TASKS)
BATCHES = 1_500
"""Their acknowledgements are more than 64 KiB too."""


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path, paused=True)


class Unread:
    """A connection that is alive, and takes no byte of any answer."""

    def __init__(self, raw: RawConnection) -> None:
        self._raw = raw
        self._begun = threading.Semaphore(0)
        raw.send(PREFACE)
        raw.frame(SETTINGS, struct.pack(">HI", WINDOW, 0))
        threading.Thread(target=self._answer, daemon=True).start()

    def call(self, stream: int, method: str, key: str, *messages: Message) -> None:
        """Begin a call, and return when its answer begins."""
        self._raw.call(stream, f"/export.ExportService/{method}", {"authorization": f"Bearer {key}"})
        data = b"".join(b"\0" + one.ByteSize().to_bytes(4) + one.SerializeToString() for one in messages)
        for at in range(0, len(data), FRAME_BYTES_MAX):
            is_last = at + FRAME_BYTES_MAX >= len(data) and method != "StreamExport"
            flags = END_STREAM if is_last else 0
            self._raw.frame(DATA, data[at : at + FRAME_BYTES_MAX], stream=stream, flags=flags)
        assert self._begun.acquire(timeout=WAIT_S)

    def _answer(self) -> None:
        """Headers are sent to who takes nothing too."""
        with suppress(OSError):  # it was closed
            for frame in self._raw.frames():
                if frame.kind == HEADERS:
                    self._begun.release()
                if frame.kind in {PING, SETTINGS} and not frame.flags & ACK:
                    self._raw.frame(frame.kind, frame.payload if frame.kind == PING else b"", flags=ACK)


class Ended:
    """The calls that ended, as metrics have them: the method and the status of each."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def note(self, _kind: str, method: str, status: str, _seconds: float) -> None:
        self._calls.put((method, status))

    def next(self) -> tuple[str, str]:
        return self._calls.get(timeout=WAIT_S)


@contextmanager
def served(memory: MemoryService, key: str, **limits: Any) -> Iterator[tuple[GrpcClient, Unread, Ended]]:
    """A server with so many exports that a list of them is more than the 64 KiB that gRPC's core takes in any case."""
    ended = Ended()
    with (
        serving(memory, limits=GrpcLimits(**limits), observe=ended.note) as target,
        closing(GrpcClient(target, key)) as client,
        raw_connection(target) as raw,
    ):
        for number in range(TASKS):
            client.call("OpenExport", metadata_of(("ID", "Name"), filename=f"{LONG_NAME}{number}.csv"))
            assert ended.next() == ("OpenExport", "OK")
        assert client.call("ListTasks", ALL).ByteSize() > 64 * KIB
        assert ended.next() == ("ListTasks", "OK")
        yield client, Unread(raw), ended


def test_a_list_that_is_not_taken_in_time_gives_its_call_back(memory: MemoryService) -> None:
    key = memory.token("greedy")
    with served(memory, key, calls_max=CALLS, message_timeout_s=2) as (client, unread, ended):
        for stream in (1, 3):
            unread.call(stream, "ListTasks", key, ALL)
        assert client.refused("ListTasks", ALL).code == "QUEUE_FULL"
        assert ended.next() == ("ListTasks", "RESOURCE_EXHAUSTED")
        assert {ended.next() for _ in range(2)} <= BROKEN_OFF
        client.call("ListTasks", pb.ListTasksRequest())


def test_a_list_that_is_not_taken_ends_when_its_key_is_revoked(memory: MemoryService) -> None:
    key, other = memory.token("greedy"), memory.token("greedy")
    revoked = next(one.key_id for one in list_keys(memory.keys) if one.key_id in key)
    with served(memory, other, calls_max=CALLS, message_timeout_s=LONG_S) as (client, unread, ended):
        unread.call(1, "ListTasks", other, ALL)
        unread.call(3, "ListTasks", key, ALL)
        assert client.refused("ListTasks", ALL).code == "QUEUE_FULL"
        assert ended.next() == ("ListTasks", "RESOURCE_EXHAUSTED")
        revoke_key(memory.keys, revoked, clock=memory.clock)
        assert ended.next() in BROKEN_OFF
        client.call("ListTasks", pb.ListTasksRequest())


def test_a_stream_whose_answers_are_not_taken_gives_its_room_back_and_says_why_it_broke(memory: MemoryService) -> None:
    key = memory.token("greedy")
    one_message = {"message_bytes_max": MIB, "messages_bytes_max": MIB, "tenant_share": 1 / 8}
    with served(memory, key, **one_message, message_timeout_s=2) as (client, unread, ended):
        unread.call(1, "StreamExport", key, opening(ack_batches=True), *[sending([("1", "a")])] * BATCHES)
        assert ended.next()[0] == "StreamExport"
        (broken,) = memory.journal.of(Event.STREAM_ERROR)
        assert broken["reason"] == "an answer was not taken in time"
        one_more = client.open_stream()
        one_more.write(opening(ack_batches=True))
        assert one_more.read().task_id
        one_more.cancel()
