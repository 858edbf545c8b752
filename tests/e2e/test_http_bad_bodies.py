"""Rows 36 to 44 of the bad inputs: bodies that lie, burst, nest, or are no text."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from sluice.api.auth import NO_KEY, Principal
from sluice.api.http.bodies.body import BodyBudget, BodyTimeouts
from sluice.api.http.operation import WORKERS, WORKERS_OF_TENANT, HttpCall, HttpResources
from sluice.api.http.routes.batches import BatchQuery
from sluice.api.service import DECODED_MAX, LISTS_OF_TENANT
from sluice.domain.api_key import Scope
from sluice.domain.errors import SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.task import State
from sluice.proto import export_pb2 as pb
from tests.support.http_client import ApiClient, HttpRelay, code_of, definition, http_relay, raw_exchange
from tests.support.http_process import http_process
from tests.support.memory_service import MemoryService

SHORT_TIMEOUTS = BodyTimeouts(idle_s=0.4, total_s=1.2)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay"), body_timeouts=SHORT_TIMEOUTS, idle_s=1) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    """A client of a tenant of its own."""
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


def head_of(client: ApiClient, task_id: str, *, sequence: int = 1, **headers: str) -> bytes:
    lines = [
        f"PUT /v1/exports/{task_id}/batches/{sequence} HTTP/1.1",
        "Host: x",
        f"Authorization: {client.headers['Authorization']}",
        "Content-Type: application/json",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join((*lines, "", "")).encode()


def refused(client: ApiClient, task_id: str, answer: httpx.Response, *, status: int, code: str) -> dict[str, Any]:
    """The answer is that error, and the task is as it was when it was opened."""
    assert (answer.status_code, code_of(answer)) == (status, code)
    row = client.relay.memory.row(task_id, client.tenant)
    assert (row.rev, row.state) == (0, State.OPEN)
    return dict(answer.json())


def test_row_36_a_sender_that_goes_away_leaves_nothing(client: ApiClient) -> None:
    task_id = client.open()
    with socket.create_connection(("127.0.0.1", client.relay.port)) as connection:
        connection.sendall(head_of(client, task_id, Content_Length="100") + b'[[1,"a"]]')
        time.sleep(0.05)
    assert client.put_rows(task_id, 2, []).status_code == 200
    assert client.relay.memory.held(task_id, client.tenant) == [2]


def test_row_37_a_body_shorter_than_it_says_is_not_waited_for_long(client: ApiClient) -> None:
    task_id = client.open()
    answer = raw_exchange(client.relay.port, [head_of(client, task_id, Content_Length="100") + b'[[1,"a"]]'])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"SENDER_TOO_SLOW"' in answer
    assert b'"retryable":true' in answer
    assert client.relay.memory.held(task_id, client.tenant) == []


def test_row_37_a_chunked_body_without_an_end_is_not_waited_for_long(client: ApiClient) -> None:
    task_id = client.open()
    head = head_of(client, task_id, Transfer_Encoding="chunked")
    answer = raw_exchange(client.relay.port, [head + b'9\r\n[[1,"a"]]\r\n'])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"SENDER_TOO_SLOW"' in answer
    assert b'"retryable":true' in answer
    assert client.relay.memory.held(task_id, client.tenant) == []


def test_row_37_a_body_longer_than_it_says_is_cut_there(client: ApiClient) -> None:
    task_id = client.open()
    answer = raw_exchange(client.relay.port, [head_of(client, task_id, Content_Length="5") + b'[[1,"a"]]'])
    statuses = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1")]
    assert statuses[0].startswith(b"HTTP/1.1 400 ")
    assert client.relay.memory.held(task_id, client.tenant) == []


def test_row_37_two_content_lengths_are_no_http(client: ApiClient) -> None:
    head = head_of(client, client.open(), Content_Length="5").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")
    assert raw_exchange(client.relay.port, [head + b'[[1,"a"]]']).startswith(b"HTTP/1.1 400 ")


def test_row_37_a_dripping_body_is_not_waited_for_long(tmp_path: Path) -> None:
    """Each byte comes in time, but a whole body would take for ever."""
    with http_relay(tmp_path, body_timeouts=BodyTimeouts(idle_s=0.4, total_s=60)) as relay:
        client = relay.client()
        with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as connection:
            connection.sendall(head_of(client, client.open(), Content_Length="1000"))
            connection.settimeout(0.05)
            answer = drip(connection, seconds_max=5)
    assert answer.startswith(b"HTTP/1.1 408 ")


def drip(connection: socket.socket, *, seconds_max: float) -> bytes:
    """Send a byte now and then until there is an answer."""
    give_up_at = time.monotonic() + seconds_max
    while time.monotonic() < give_up_at:
        connection.sendall(b" ")
        try:
            return connection.recv(65_536)
        except TimeoutError:
            continue
    raise AssertionError("there was no answer")


def test_a_body_over_the_limit_is_refused_before_it_is_sent(client: ApiClient) -> None:
    task_id = client.open()
    length = str(client.relay.app.state.resources.body_bytes_max + 1)
    answer = raw_exchange(client.relay.port, [head_of(client, task_id, Content_Length=length)])
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_over_the_limit_without_a_length_is_refused_on_the_way(tmp_path: Path) -> None:
    with http_relay(tmp_path, limits=Limits(batch_bytes_max=20 * KIB)) as relay:
        client = relay.client()
        task_id = client.open()
        body = (b" " * 10 * KIB for _ in range(1_000))
        answer = client.put(
            f"/v1/exports/{task_id}/batches/1", content=body, headers={"Content-Type": "application/json"}
        )
        refused(client, task_id, answer, status=413, code="BATCH_TOO_LARGE")


@pytest.mark.memory
@pytest.mark.slow
def test_row_38_a_bomb_is_refused_as_soon_as_it_passes_the_limit(tmp_path: Path) -> None:
    bomb = gzip_of_zeros(4 * 1024 * MIB)
    assert len(bomb) < 5 * MIB
    with (
        http_process(tmp_path) as process,
        httpx.Client(verify=False, base_url=f"http://127.0.0.1:{process.port}") as client,
    ):
        task_id = client.post("/v1/exports", json=definition()).json()["task_id"]
        url, headers = f"/v1/exports/{task_id}/batches/1", {"Content-Type": "application/json"}
        assert client.put(url, content=b"[]", headers=headers).status_code == 200
        before = process.resident_bytes()
        answer = client.put(url, content=bomb, headers={**headers, "Content-Encoding": "gzip"})
        grown = process.peak_bytes() - before
    assert (answer.status_code, code_of(answer)) == (413, "BATCH_TOO_LARGE")
    assert grown <= 16 * MIB


def gzip_of_zeros(size: int) -> bytes:
    """Many equal members, so that making the bomb costs nothing."""
    member = gzip.compress(bytes(16 * MIB), 9)
    return member * (size // (16 * MIB))


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(gzip.compress(b"[]")), "gzip"),
        (b"[]", "br"),
        (b"[]", "deflate"),
        (b"[]", "gzip, gzip"),
        (b"[]", "gzip"),
        (zlib.compress(b"[]"), "gzip"),
        (gzip.compress(b"[]"), "identity"),
    ],
    ids=["twice", "br", "deflate", "list", "plain", "zlib", "unannounced"],
)
def test_row_39_an_encoding_that_is_not_gzip_once_is_refused(client: ApiClient, body: bytes, coding: str) -> None:
    task_id = client.open()
    answer = client.put_body(task_id, 1, body, Content_Encoding=coding)
    refused(client, task_id, answer, status=415, code="UNSUPPORTED_ENCODING")


def test_a_caller_that_sends_a_refused_body_to_its_end_gets_the_answer(client: ApiClient) -> None:
    """Empty gzip members are refused at the first 10,000; the caller sees that when it has sent the rest, slowly."""
    task_id = client.open()
    body = gzip.compress(b"") * 600_000
    head = head_of(client, task_id, Content_Length=str(len(body)), Content_Encoding="gzip")
    with socket.create_connection(("127.0.0.1", client.relay.port), timeout=60) as connection:
        connection.sendall(head)
        for at in range(0, len(body), len(body) // 10):
            connection.sendall(body[at : at + len(body) // 10])
            time.sleep(0.3)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"too many small members" in answer


@pytest.mark.parametrize("cut", [5, 15, -9, -1])
def test_row_39_gzip_that_is_damaged_is_refused(client: ApiClient, cut: int) -> None:
    task_id = client.open()
    packed = gzip.compress(b'[[1,"abcdefghijklmnop"]]' * 10)
    answer = client.put_body(task_id, 1, packed[:cut], Content_Encoding="gzip")
    refused(client, task_id, answer, status=400, code="INVALID_REQUEST")
    damaged = packed[:20] + bytes([packed[20] ^ 0xFF]) + packed[21:]
    answer = client.put_body(task_id, 1, damaged, Content_Encoding="gzip")
    refused(client, task_id, answer, status=400, code="INVALID_REQUEST")


def test_a_packed_body_is_the_same_batch(client: ApiClient) -> None:
    task_id = client.open()
    plain = client.put_body(task_id, 1, b'[[1,"a"]]').json()
    members = gzip.compress(b"[[1,") + gzip.compress(b"") + gzip.compress(b'"a"]]')
    checksum = hashlib.sha256(members).hexdigest()
    answer = client.put_body(task_id, 1, members, Content_Encoding="gzip", X_Content_SHA256=checksum)
    assert answer.json() == {**plain, "replayed": True}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000, "INVALID_REQUEST"),
        (b"[" * 100_000 + b"]" * 100_000, "INVALID_REQUEST"),
        (b'[[{"a":' * 100_000, "INVALID_REQUEST"),
        (b"[[" + b"1" * 5_000 + b',"a"]]', "INVALID_REQUEST"),
        (b'[[NaN,"a"]]', "INVALID_REQUEST"),
        (b'[[Infinity,"a"]]', "INVALID_REQUEST"),
        (b'[[-Infinity,"a"]]', "INVALID_REQUEST"),
        (b'[[1e999,"a"]]', "INVALID_VALUE"),
        (b'[[-1e999,"a"]]', "INVALID_VALUE"),
        (b'[{"id":1,"name":"a","id":2}]', "INVALID_REQUEST"),
        (b'[{"id":1,"id" :2,"name":"a"}]', "INVALID_REQUEST"),
        (b'[{"id":1,"name":"\\":","id":2}]', "INVALID_REQUEST"),
        (b'[[1,"\xff"]]', "INVALID_TEXT"),
        (b'[[1,"\xed\xa0\x80"]]', "INVALID_TEXT"),
        (b'[[1,"\\ud800"]]', "INVALID_TEXT"),
        (b'[[1,"\\udc00\\ud800"]]', "INVALID_TEXT"),
        (b'[{"id":1,"name":"\\ud800"}]', "INVALID_TEXT"),
        (b'[[1,"a"]] []', "INVALID_REQUEST"),
        (b'[[1,"a"],]', "INVALID_REQUEST"),
        (b'[[01,"a"]]', "INVALID_REQUEST"),
        (b'[[1,"a]]', "INVALID_REQUEST"),
        (b"", "INVALID_REQUEST"),
        (b"null", "INVALID_REQUEST"),
        (b'{"rows":[]}', "INVALID_REQUEST"),
        (b'["ab"]', "INVALID_REQUEST"),
        (b'[[1,"a"],{"id":1}]', "INVALID_REQUEST"),
        (b'[{"id":1},[1,"a"]]', "INVALID_REQUEST"),
        (b'[{"id":1,"nam":"a"}]', "INVALID_REQUEST"),
        (b'[[1,["a"]]]', "INVALID_VALUE"),
        (b"[[1,{}]]", "INVALID_VALUE"),
        (b'[["x","a"]]', "INVALID_VALUE"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_rows_40_to_44_json_that_is_not_rows_is_refused(client: ApiClient, body: bytes, code: str) -> None:
    task_id = client.open()
    refused(client, task_id, client.put_body(task_id, 1, body), status=400, code=code)


def test_rows_40_to_44_also_line_by_line(client: ApiClient) -> None:
    task_id = client.open()
    lines = [
        (b"[" * 100_000, "INVALID_REQUEST"),
        (b"[" + b"1" * 5_000 + b',"a"]', "INVALID_REQUEST"),
        (b'[NaN,"a"]', "INVALID_REQUEST"),
        (b'[1e999,"a"]', "INVALID_VALUE"),
        (b'{"id":1,"name":"a","id":2}', "INVALID_REQUEST"),
        (b'[1,"\xff"]', "INVALID_TEXT"),
        (b'[1,"\\ud800"]', "INVALID_TEXT"),
        (b'[1,"a"] [2,"b"]', "INVALID_REQUEST"),
        (b"[1,", "INVALID_REQUEST"),
    ]
    for line, code in lines:
        answer = client.put_body(task_id, 1, b'[0,"ok"]\n\n' + line + b"\n", "application/x-ndjson")
        facts = refused(client, task_id, answer, status=400, code=code)
        assert facts["row"] == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"1,a\r\n", "INVALID_REQUEST"),
        (b"name,id\r\na,1\r\n", "INVALID_REQUEST"),
        (b"", "INVALID_REQUEST"),
        (b"id,name\r\n1\r\n", "ROW_WIDTH_MISMATCH"),
        (b"id,name\r\n1,a,b\r\n", "ROW_WIDTH_MISMATCH"),
        (b'id,name\r\n1,"a\r\n', "INVALID_REQUEST"),
        (b'id,name\r\n1,"a"b\r\n', "INVALID_REQUEST"),
        (b"id,name\r\n1,\xff\r\n", "INVALID_TEXT"),
        (b"id,name\r\nx,a\r\n", "INVALID_VALUE"),
        (b"id,name\r1,a\r", "INVALID_REQUEST"),
    ],
)
def test_csv_that_is_not_rows_is_refused(client: ApiClient, body: bytes, code: str) -> None:
    task_id = client.open()
    refused(client, task_id, client.put_body(task_id, 1, body, "text/csv"), status=400, code=code)


def test_a_message_that_is_not_rows_is_refused(client: ApiClient) -> None:
    task_id = client.open()
    other = pb.DataBatch(records=[pb.Record(values=["1", "a"])], batch_sequence=2).SerializeToString()
    for body in (b"\xff\xff", other, b"\x0a\x05\x0a\x03\xff\xfe\xfd"):
        answer = client.put_body(task_id, 1, body, "application/x-protobuf")
        refused(client, task_id, answer, status=400, code="INVALID_REQUEST")


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "multipart/form-data", "application/json; charset=latin-1", "text/csv; header=maybe"],
)
def test_a_type_that_is_not_read_here_is_refused(client: ApiClient, content_type: str) -> None:
    task_id = client.open()
    answer = client.put_body(task_id, 1, b"[]", content_type)
    refused(client, task_id, answer, status=415, code="UNSUPPORTED_ENCODING")


def test_every_content_type_makes_the_same_batch(client: ApiClient) -> None:
    task_id = client.open()
    message = pb.DataBatch(records=[pb.Record(values=["1.50", "a,b"]), pb.Record(values=["-0", "é"])])
    bodies = [
        ("application/json", '[[1.50,"a,b"],[-0,"é"]]'.encode()),
        ("application/json; charset=UTF-8", b'[["1.50","a,b"],["-0","\\u00e9"]]'),
        ("application/json", '\ufeff[{"id":1.50,"name":"a,b"},{"id":-0,"name":"é"}]'.encode()),
        ("application/x-ndjson", '[1.50,"a,b"]\n\n{"id":-0,"name":"é"}'.encode()),
        ("application/x-ndjson", '{"id":1.50,"name":"a,b"}\r\n{"id":-0,"name":"é"}\r\n'.encode()),
        ("text/csv", '\ufeffid,name\r\n1.50,"a,b"\r\n-0,é\r\n'.encode()),
        ("text/csv; header=absent", '1.50,"a,b"\n\n"-0",é'.encode()),
        ("application/x-protobuf", message.SerializeToString()),
    ]
    answers = [client.put_body(task_id, 1, body, content_type) for content_type, body in bodies]
    mixed = answers.pop(3)  # rows of both kinds
    assert (mixed.status_code, code_of(mixed)) == (400, "INVALID_REQUEST")
    assert [answer.status_code for answer in answers] == [200] * 7
    assert len({answer.json()["sha256"] for answer in answers}) == 1


def test_null_is_not_the_empty_text_and_null_value_says_what_null_is(client: ApiClient) -> None:
    task_id = client.open(columns=[{"name": "a"}, {"name": "b"}], options={"null_value": "NULL"})
    shas = {
        name: client.put_body(task_id, sequence, body, content_type).json()["sha256"]
        for sequence, (name, content_type, body) in enumerate(
            [
                ("null", "application/json", b'[["x",null]]'),
                ("missing", "application/json", b'[{"a":"x"}]'),
                ("empty", "application/json", b'[["x",""]]'),
                ("text", "application/json", b'[["x","NULL"]]'),
                ("csv null", "text/csv; header=absent", b"x,NULL\r\n"),
                ("csv empty", "text/csv; header=absent", b"x,\r\n"),
                ("message", "application/x-protobuf", b"\x0a\x09\x0a\x01x\x0a\x04NULL"),
            ],
            1,
        )
    }
    assert shas["null"] == shas["missing"] == shas["csv null"] == shas["message"]
    assert shas["empty"] == shas["csv empty"]
    assert len(set(shas.values())) == 3


def test_booleans_are_taken_as_their_texts(client: ApiClient) -> None:
    task_id = client.open(columns=[{"name": "a", "type": "boolean"}, {"name": "b"}])
    first = client.put_body(task_id, 1, b'[[true,false],[false,"x"]]').json()
    assert client.put_body(task_id, 1, b'[["true","false"],["false","x"]]').json() == {**first, "replayed": True}


@pytest.mark.parametrize("body", [b"[" + b"[],[]," * 20 + b"[]]", b"[" + b"{}," * 40 + b"{}]"])
def test_more_rows_than_a_batch_may_have_are_refused_unread(tmp_path: Path, body: bytes) -> None:
    with http_relay(tmp_path, limits=Limits(batch_rows_max=40)) as relay:
        client = relay.client()
        task_id = client.open()
        answer = client.put_body(task_id, 1, body)
        refused(client, task_id, answer, status=413, code="BATCH_TOO_LARGE")
        lines = b'[1,"[[[["]\n' * 41
        for content_type, rows in (("application/x-ndjson", lines), ("text/csv; header=absent", b"1,a\n" * 41)):
            answer = client.put_body(task_id, 1, rows, content_type)
            refused(client, task_id, answer, status=413, code="BATCH_TOO_LARGE")
        taken = json.dumps([[1, "[[],[{"]] * 40).encode()
        assert client.put_body(task_id, 1, taken).status_code == 200


def principal_of(tenant: str, key_id: str = "k") -> Principal:
    return Principal(tenant=TenantId(tenant), key_id=key_id, scopes=frozenset({Scope.WRITE}))


def test_the_bodies_of_all_callers_together_are_bounded_and_those_of_a_tenant_more_narrowly() -> None:
    budget = BodyBudget(bytes_max=100, share=0.6, body_bytes_max=40)
    alice, bob, local = principal_of("alice"), principal_of("bob"), principal_of("local", NO_KEY)
    with budget.reserve(alice) as first, budget.reserve(alice) as again, budget.reserve(bob) as second:
        first.add(50)
        with pytest.raises(SluiceError, match="QUEUE_FULL"):
            again.add(11)
        again.add(10)
        second.add(40)
        with pytest.raises(SluiceError, match="QUEUE_FULL"):
            second.add(1)
    with budget.reserve(local) as third:
        third.add(100)


def test_a_tenant_that_has_others_wait_for_its_batches_holds_no_thread_that_they_need(tmp_path: Path) -> None:
    """Batches that take long to decode wait for their turn on the event loop, and never for all of the turns."""
    resources = HttpResources(service=MemoryService(tmp_path).service)
    going, release = threading.Semaphore(0), threading.Event()

    def work() -> str:
        going.release()
        release.wait(60)
        return "decoded"

    def call_of(tenant: str) -> HttpCall[BatchQuery]:
        scope = {"type": "http", "method": "PUT", "path": "/", "headers": [], "query_string": b""}
        return HttpCall(Request(scope, forever), resources, principal_of(tenant), BatchQuery())

    async def forever() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(call_of("alice").decode, work)
            await anyio.to_thread.run_sync(going.acquire)
            assert resources.decoders.borrowed_tokens == 1
            assert resources.workers.borrowed_tokens == 0
            group.start_soon(call_of("bob").decode, work)
            await anyio.to_thread.run_sync(going.acquire)  # bob's began, behind 59 of alice's that wait
            assert await call_of("bob").run(lambda: "status") == "status"
            release.set()
        assert (resources.service.decoding.free, resources.service.decoding.waiting) == (DECODED_MAX, 0)

    anyio.run(scenario)


def test_a_tenant_that_asks_for_much_at_a_time_leaves_workers_to_others_and_lists_a_few_at_a_time(
    tmp_path: Path,
) -> None:
    resources = HttpResources(service=MemoryService(tmp_path).service)
    going, release = threading.Semaphore(0), threading.Event()

    def work() -> str:
        going.release()
        release.wait(60)
        return "read"

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    def call_of(tenant: str, method: str) -> HttpCall[BatchQuery]:
        scope = {"type": "http", "method": method, "path": "/", "headers": [], "query_string": b""}
        return HttpCall(Request(scope, receive), resources, principal_of(tenant), BatchQuery())

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(call_of("lister", "GET").run_listing, work)
            for _ in range(LISTS_OF_TENANT):
                await anyio.to_thread.run_sync(going.acquire)
            assert resources.workers.borrowed_tokens == LISTS_OF_TENANT
            for method in ("GET", "PUT"):
                for _ in range(WORKERS):
                    group.start_soon(call_of("greedy", method).run, work)
            for _ in range(WORKERS_OF_TENANT):
                await anyio.to_thread.run_sync(going.acquire)
            assert resources.workers.borrowed_tokens == LISTS_OF_TENANT + WORKERS_OF_TENANT
            assert await call_of("other", "GET").run(lambda: "status") == "status"
            assert await call_of("lister", "GET").run(lambda: "status") == "status"
            release.set()
        assert not resources.worker_turns
        assert not resources.list_turns

    anyio.run(scenario)
