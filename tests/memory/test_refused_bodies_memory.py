"""What a refused body takes while it is refused, a multiple of a batch, and what it leaves behind: nothing."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
from grpc import StatusCode

from sluice.domain.limits import MIB, Limits
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import GrpcClient, metadata_of
from tests.support.grpc_process import grpc_process
from tests.support.http_process import HttpProcess, http_process

pytestmark = [
    pytest.mark.memory,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
LIMITS = Limits()
SIZE = LIMITS.input_bytes_max - 1_000
FACTOR = 64
"""What the decoding of a body takes at most, in batches of ``max_batch_bytes``: README of the API."""
AT_ONCE = 2
"""Bodies that are decoded at a time."""
LEFT_MAX = 32 * MIB
"""Of ``TIMES`` refusals, each of a body of 12 MB: what the allocator keeps differs by so much."""
TIMES = 7
MESSAGES = 24
"""Refused one after the other over gRPC: if each left its 8 MB, they would be more than one takes while it is read."""


class Bomb(NamedTuple):
    kind: str
    make: Callable[[], bytes]
    status: int
    code: str


def repeated(unit: bytes, *, head: bytes = b"", tail: bytes = b"") -> Callable[[], bytes]:
    return lambda: head + unit * ((SIZE - len(head) - len(tail)) // len(unit)) + tail


CSV, JSON, NDJSON, PROTOBUF = (
    "text/csv; header=absent",
    "application/json",
    "application/x-ndjson",
    "application/x-protobuf",
)
WIDTH, LARGE = "ROW_WIDTH_MISMATCH", "BATCH_TOO_LARGE"


def one_record(value: bytes) -> Callable[[], bytes]:
    """A message whose one record has as many values as fit."""

    def make() -> bytes:
        field = b"\x0a" + bytes([len(value)]) + value
        values = field * ((LIMITS.input_bytes_max - 100) // len(field))
        return b"\x0a" + varint(len(values)) + values

    return make


def varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


BOMBS = {
    "csv: nothing but commas": Bomb(CSV, repeated(b","), 400, WIDTH),
    "csv: commas, some of them quoted": Bomb(CSV, repeated(b'",",'), 400, WIDTH),
    "csv: short cells": Bomb(CSV, repeated(b"ab,"), 400, WIDTH),
    "csv: a row of many lines": Bomb(CSV, repeated(b'"\n",' + b"," * 1_000), 400, WIDTH),
    "csv: a quote in the middle of a cell": Bomb(CSV, repeated(b",", head=b'a"b'), 400, WIDTH),
    "csv: many rows that are too wide": Bomb(CSV, repeated(b"," * 300 + b"\n"), 400, WIDTH),
    "csv: a header of commas": Bomb("text/csv", repeated(b","), 400, "TOO_MANY_COLUMNS"),
    "json: one row": Bomb(JSON, repeated(b"0,", head=b"[[", tail=b"0]]"), 413, LARGE),
    "json: one row of texts": Bomb(JSON, repeated(b'"ab",', head=b"[[", tail=b"0]]"), 400, WIDTH),
    "json: one row of numbers": Bomb(JSON, repeated(b"123,", head=b"[[", tail=b"0]]"), 400, WIDTH),
    "json: brackets in a cell": Bomb(JSON, repeated(b"[],", head=b"[[", tail=b"0]]"), 413, LARGE),
    "json: deep brackets": Bomb(JSON, repeated(b"[" * 50 + b"]" * 50 + b",", head=b"[[", tail=b"0]]"), 413, LARGE),
    "json: a name again and again": Bomb(
        JSON, repeated(b'"a":0,', head=b"[{", tail=b'"b":0}]'), 400, "INVALID_REQUEST"
    ),
    "json: what is cut short": Bomb(JSON, repeated(b'"ab",', head=b"[["), 400, "INVALID_REQUEST"),
    "ndjson: one line": Bomb(NDJSON, repeated(b"0,", head=b"[", tail=b"0]"), 400, "TOO_MANY_COLUMNS"),
    "ndjson: one line of texts": Bomb(NDJSON, repeated(b'"ab",', head=b"[1]\n[", tail=b"0]"), 400, WIDTH),
    "ndjson: one object": Bomb(NDJSON, repeated(b'"a":0,', head=b"{", tail=b'"b":0}'), 400, "TOO_MANY_COLUMNS"),
    "protobuf: empty values": Bomb(PROTOBUF, one_record(b""), 400, WIDTH),
    "protobuf: short values": Bomb(PROTOBUF, one_record(b"ab"), 400, WIDTH),
    "protobuf: empty records": Bomb(PROTOBUF, repeated(b"\x0a\x00"), 413, LARGE),
    "a value of the wrong type": Bomb(CSV, repeated(b"x,1\n", head=b"y,1\n"), 413, LARGE),
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpProcess]:
    with http_process(tmp_path_factory.mktemp("http")) as running:
        yield running


@pytest.fixture(scope="module")
def client(process: HttpProcess) -> Iterator[httpx.Client]:
    with httpx.Client(
        verify=False, base_url=f"http://127.0.0.1:{process.port}", timeout=120, trust_env=False
    ) as calling:
        yield calling


WIDE = [f"c{number}" for number in range(16_384)]
EMPTY_OBJECTS = {
    "json: rows that name one column of 16,384": (JSON, b"[" + b'{"c1":1},' * 6_000 + b'{"c1":1}]'),
    "json: rows that name none": (JSON, b"[" + b"{}," * 6_000 + b"{}]"),
    "ndjson: rows that name one column": (NDJSON, b'{"c1":1}\n' * 6_000),
    "ndjson: rows that name none, some after an exact number": (NDJSON, b'{"c1":-0}\n' + b"{}\n" * 6_000),
}


@pytest.mark.parametrize("name", EMPTY_OBJECTS)
def test_objects_that_leave_out_their_names_cost_no_more_than_what_is_sent(
    process: HttpProcess, client: httpx.Client, name: str
) -> None:
    kind, body = EMPTY_OBJECTS[name]
    opened = client.post("/v1/exports", json={"format": "csv", "columns": [{"name": column} for column in WIDE]})
    put(client, opened.json()["task_id"], kind, b'[{"c2":1}]' if kind == JSON else b'{"c2":1}')
    before = reset_peak(process.pid)
    assert put(client, opened.json()["task_id"], kind, gzip.compress(body), packed=True) == (413, LARGE)
    assert process.peak_bytes() - before < FACTOR * LIMITS.batch_bytes_max
    assert process.resident_bytes() - before < 2 * LEFT_MAX


@pytest.fixture(scope="module")
def task_id(client: httpx.Client) -> str:
    opened = client.post("/v1/exports", json={"format": "csv", "columns": [{"name": "a"}, {"name": "b"}]})
    put(client, opened.json()["task_id"], CSV, b"1,2\n" * 40_000)  # what the process needs in any case
    return str(opened.json()["task_id"])


def put(client: httpx.Client, task_id: str, kind: str, body: bytes, *, packed: bool = False) -> tuple[int, str]:
    headers = {"Content-Type": kind} | ({"Content-Encoding": "gzip"} if packed else {})
    answer = client.put(f"/v1/exports/{task_id}/batches/1", content=body, headers=headers)
    return answer.status_code, answer.json().get("code", "")


def reset_peak(pid: int) -> int:
    """Begin to measure the peak anew; returns what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return psutil.Process(pid).memory_info().rss


@pytest.mark.parametrize("name", BOMBS)
def test_a_refused_body_takes_a_bounded_memory_and_leaves_none(
    process: HttpProcess, client: httpx.Client, task_id: str, name: str
) -> None:
    bomb = BOMBS[name]
    body = bomb.make()
    before = reset_peak(process.pid)
    left = []
    for _ in range(TIMES):
        assert put(client, task_id, bomb.kind, body) == (bomb.status, bomb.code)
        left.append(process.resident_bytes())
    print(f"{name}: {(process.peak_bytes() - before) / MIB:.0f} MiB, then {[(size - before) // MIB for size in left]}")
    assert process.peak_bytes() - before <= FACTOR * LIMITS.batch_bytes_max
    assert min(left[-3:]) - max(left[:2]) <= LEFT_MAX  # an answer may come before all of its request is let go


def test_refused_bodies_in_parallel_are_decoded_two_at_a_time(
    process: HttpProcess, client: httpx.Client, task_id: str
) -> None:
    bombs = [BOMBS[name] for name in ("json: one row of texts", "protobuf: empty values")] * 4
    bodies = [bomb.make() for bomb in bombs]
    before = reset_peak(process.pid)
    with ThreadPoolExecutor(len(bombs)) as threads:
        answers = list(
            threads.map(lambda pair: put(client, task_id, pair[0].kind, pair[1]), zip(bombs, bodies, strict=True))
        )
    assert set(answers) <= {(400, WIDTH), (503, "QUEUE_FULL")}
    assert (400, WIDTH) in answers
    waiting = sum(map(len, bodies))
    print(f"in parallel: {(process.peak_bytes() - before) / MIB:.0f} MiB")
    assert process.peak_bytes() - before <= AT_ONCE * FACTOR * LIMITS.batch_bytes_max + 2 * waiting


LONG_ROWS = {
    CSV: b'a,b\n"' + b"x" * (SIZE - 20_000) + "😀".encode() + b'",y\n',
    "text/csv": b'a,b\n"' + b"x\n" * (SIZE // 2 - 10_000) + b'",y\n',
    NDJSON: b'["' + b"x" * (SIZE - 20_000) + "😀".encode() + b'","y"]\n',
    JSON: b'[["' + b"x" * (SIZE - 20_000) + "😀".encode() + b'","y"]]',
}
"""Tables of one row; the emoji makes Python keep four bytes for each of its characters."""


@pytest.mark.parametrize("kind", LONG_ROWS)
def test_rows_of_megabytes_are_read_of_two_tables_at_a_time(
    process: HttpProcess, client: httpx.Client, kind: str
) -> None:
    tables = 12
    packed = gzip.compress(LONG_ROWS[kind])
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}

    def send() -> tuple[int, str]:
        answer = client.post("/v1/exports/stream?format=csv&columns=a,b", content=packed, headers=headers)
        return answer.status_code, answer.json().get("code", "")

    assert send() == (413, LARGE)
    before = reset_peak(process.pid)
    with ThreadPoolExecutor(tables) as threads:
        answers = [one.result() for one in [threads.submit(send) for _ in range(tables)]]
    assert set(answers) <= {(413, LARGE), (503, "QUEUE_FULL")}
    print(f"{kind}: {(process.peak_bytes() - before) / MIB:.0f} MiB, {answers.count((413, LARGE))} of {tables} read")
    assert process.peak_bytes() - before <= AT_ONCE * FACTOR * LIMITS.batch_bytes_max + tables * MIB


@pytest.mark.parametrize("shape", ["empty values", "short values", "empty records"])
def test_a_refused_message_takes_a_bounded_memory_and_leaves_no_more_however_often_it_comes(
    tmp_path: Path, shape: str
) -> None:
    records = {
        "empty values": lambda: [pb.Record(values=[""] * 4_000_000)],
        "short values": lambda: [pb.Record(values=["ab"] * 2_000_000)],
        "empty records": lambda: [pb.Record()] * 4_000_000,
    }[shape]()
    with grpc_process(tmp_path) as server:
        client = GrpcClient(server.target, server.token)
        task_id = client.call("OpenExport", metadata_of(["a", "b"])).task_id
        request = pb.PutBatchRequest(task_id=task_id, batch=pb.DataBatch(records=records, batch_sequence=1))
        before = reset_peak(server.pid)
        left = []
        for _ in range(MESSAGES):
            said = client.refused("PutBatch", request, timeout=60)
            assert said.code == (LARGE if shape == "empty records" else WIDTH)
            left.append(psutil.Process(server.pid).memory_info().rss)
        one_peak = server.peak_bytes() - before
        with ThreadPoolExecutor(6) as threads:
            calls = [threads.submit(client.refused, "PutBatch", request, timeout=100) for _ in range(6)]
            assert len({call.result().code for call in calls}) == 1
        all_peak = server.peak_bytes() - before
        client.close()
    kept = [(size - before) // MIB for size in left]
    print(f"{shape}: {one_peak / MIB:.0f} MiB, then {kept}; six: {all_peak / MIB:.0f} MiB")
    assert one_peak <= FACTOR * LIMITS.batch_bytes_max
    # Small blocks of a message may keep large ones from going back to the system; the next message takes them again.
    assert max(left) - before < min(one_peak, MESSAGES * 7 * MIB)
    assert all_peak <= AT_ONCE * FACTOR * LIMITS.batch_bytes_max + 6 * 3 * 8 * MIB


def test_messages_of_many_calls_at_a_time_take_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    """Calls whose turn does not come: beyond the room, gRPC's core takes no message from the network."""
    calls, room, size = 48, 8, 8 * MIB
    request = pb.PutBatchRequest(task_id="x", batch=pb.DataBatch(records=[pb.Record(values=["x" * (size - 1_000)])]))
    with grpc_process(tmp_path, is_busy=True, messages_bytes_max=room * size) as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(GrpcClient(server.target, server.token))) for _ in range(calls)]
        before = reset_peak(server.pid)
        with ThreadPoolExecutor(calls) as threads:
            said = [threads.submit(client.refused, "PutBatch", request, timeout=10) for client in clients]
            assert {one.result().status for one in said} == {StatusCode.DEADLINE_EXCEEDED}
        peak = server.peak_bytes() - before
    print(f"{calls} messages of 8 MiB at a time: {peak / MIB:.0f} MiB")
    assert peak <= 2.5 * room * size  # each once in the core and once in Python
