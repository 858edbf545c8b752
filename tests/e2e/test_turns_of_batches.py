"""What a batch costs the processor is bounded by one turn, over both APIs, and the stores are waited for outside it.

Tenants take turns at the turns.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from sluice.api.grpc import stream
from sluice.api.service import DECODED_MAX
from sluice.proto import export_pb2 as pb
from sluice.tables.readers.protobuf import read_message
from sluice.tables.values import nulled_cells
from sluice.tables.writers.csv.format import CsvFormat
from sluice.tables.writers.xlsx.format import XlsxFormat
from sluice.usecases.sending import put_batch
from tests.support.decoding import take_every_turn
from tests.support.grpc_client import GrpcClient, batch_of, metadata_of, opening, rows_of, sending, serving
from tests.support.http_client import ApiClient, HttpRelay, http_relay
from tests.support.memory_service import MemoryService

Result = TypeVar("Result")
COLUMNS = [{"name": "n", "type": "number"}, {"name": "d", "type": "date"}]
ROWS = [["1", "2025-03-14"], ["n/a\0", "0000-00-00"]]
"""No CSV file can have the NUL, so that what becomes null is looked for before it is refused."""


class Turns:
    """How many turns are free whenever work is begun, by the name of the work."""

    def __init__(self, memory: MemoryService, monkeypatch: pytest.MonkeyPatch) -> None:
        self._decoding = memory.service.decoding
        self._monkeypatch = monkeypatch
        self.free: dict[str, set[int]] = {}
        for owner in (CsvFormat, XlsxFormat):
            self.watch(owner, "check_batch")
        self.watch(nulled_cells, "_prepare")
        self.watch(put_batch, "encode_batch")
        self.watch(type(memory.store), "put")
        self.watch(type(memory.tasks), "claim")

    def watch(self, owner: Any, name: str) -> None:
        work: Callable[..., object] = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> object:
            self.free.setdefault(name, set()).add(self._decoding.free)
            return work(*arguments, **named)

        self._monkeypatch.setattr(owner, name, watched)


IN_A_TURN = {DECODED_MAX - 1}
EXPECTED = {
    "check_batch": IN_A_TURN,
    "_prepare": IN_A_TURN,
    "encode_batch": IN_A_TURN,
    "put": {DECODED_MAX},
    "claim": {DECODED_MAX},
}


def test_a_batch_over_http_is_checked_and_encoded_in_its_turn_and_stored_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        client: ApiClient = relay.client()
        body = {"format": "csv", "columns": COLUMNS, "options": {"on_invalid": "null"}}
        task_id = client.post("/v1/exports", json=body).json()["task_id"]
        turns = Turns(relay.memory, monkeypatch)
        assert client.put_rows(task_id, 1, ROWS).status_code == 200
        assert turns.free == EXPECTED
        monkeypatch.undo()
        relay.memory.invoker.release()


def test_a_batch_over_grpc_is_checked_and_encoded_in_its_turn_and_stored_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving(memory) as target, closing(GrpcClient(target, memory.token())) as client:
        metadata = metadata_of(())
        metadata.format = pb.FORMAT_CSV
        metadata.options.on_invalid = "null"
        metadata.columns.add(name="n", data_type=pb.DATA_TYPE_NUMBER)
        metadata.columns.add(name="d", data_type=pb.DATA_TYPE_DATE)
        task_id = client.call("OpenExport", metadata).task_id
        turns = Turns(memory, monkeypatch)
        batch = pb.DataBatch(batch_sequence=1, records=[pb.Record(values=row) for row in ROWS])
        assert client.call("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch)).records == 2
        assert turns.free == EXPECTED
        monkeypatch.undo()


CALLS = 6
WAIT_S = 60


def put_of(task_id: str, sequence: int = 1) -> pb.PutBatchRequest:
    return pb.PutBatchRequest(task_id=task_id, batch=batch_of(rows_of(1, 2), sequence))


def until_waiting(relay: HttpRelay, count: int) -> None:
    while relay.memory.service.decoding.waiting != count:
        threading.Event().wait(0.005)


def test_batches_of_one_tenant_over_grpc_leave_a_turn_to_another_over_both_apis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, read = threading.Semaphore(0), threading.Event(), read_message

    def slow(batch: pb.DataBatch, *rest: Any) -> Any:
        if len(batch.records) == 2:  # of greedy
            began.release()
            assert go_on.wait(WAIT_S)
        return read(batch, *rest)

    monkeypatch.setattr(stream, "read_message", slow)
    with http_relay(tmp_path) as relay, serving(relay.memory) as target, ThreadPoolExecutor(CALLS) as threads:
        other = relay.client("other")
        task_id = other.open()
        with (
            closing(GrpcClient(target, relay.memory.token("greedy"))) as greedy,
            closing(GrpcClient(target, relay.memory.token("other"))) as other_grpc,
        ):
            of_greedy = greedy.call("OpenExport", metadata_of(("ID", "Name"))).task_id
            puts = [threads.submit(greedy.call, "PutBatch", put_of(of_greedy, n + 1)) for n in range(CALLS)]
            assert began.acquire(timeout=WAIT_S)
            until_waiting(relay, CALLS - 1)
            assert other.put_rows(task_id, 1, [["1", "a"]]).status_code == 200
            batch = pb.PutBatchRequest(task_id=task_id, batch=batch_of(rows_of(1, 1), 2))
            assert other_grpc.call("PutBatch", batch).records == 1
            assert not began.acquire(blocking=False), "greedy has one turn"
            go_on.set()
            assert [put.result(WAIT_S).records for put in puts] == [2] * CALLS


def test_what_is_no_batch_waits_for_none_and_keeps_no_thread_from_any(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay, ThreadPoolExecutor(CALLS) as threads:
        clients = [relay.client(f"t{n}") for n in range(CALLS)]
        tasks = [client.open() for client in clients]
        turns = take_every_turn(relay.memory.service)
        puts = [
            threads.submit(client.put_rows, task_id, 1, [["1", "a"]])
            for client, task_id in zip(clients, tasks, strict=True)
        ]
        until_waiting(relay, CALLS)
        task_id = clients[0].open()
        assert clients[0].close_task(task_id, batches=0, rows=0).status_code == 202
        clients[0].finish(task_id)
        assert clients[0].post(f"/v1/exports/{task_id}/render", json={"format": "csv"}).status_code == 201
        for turn in turns:
            turn.leave()
        assert [put.result(WAIT_S).status_code for put in puts] == [200] * CALLS


def test_who_goes_away_waits_for_no_turn(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay, serving(relay.memory) as target:
        client = relay.client()
        task_id = client.open()
        turns = take_every_turn(relay.memory.service)
        with closing(GrpcClient(target, relay.memory.token())) as called:
            put = called.stub.PutBatch.future(put_of(task_id), metadata=called.metadata, timeout=WAIT_S)
            opened = called.open_stream(timeout_s=WAIT_S)
            opened.write(opening(ack_batches=True))
            opened.read()
            opened.write(sending(rows_of(1, 2), 1))
            until_waiting(relay, 2)
            put.cancel()
            until_waiting(relay, 1)
            opened.cancel()
            until_waiting(relay, 0)
            with pytest.raises(grpc.RpcError):
                called.stub.PutBatch(put_of(task_id), metadata=called.metadata, timeout=0.5)
            until_waiting(relay, 0)
        key, body = client.headers["Authorization"], b'[["1", "a"]]'
        head = f"PUT /v1/exports/{task_id}/batches/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
        with socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S) as connection:
            connection.sendall(
                f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            until_waiting(relay, 1)
        until_waiting(relay, 0)
        for turn in turns:
            turn.leave()
        assert relay.memory.service.decoding.free == DECODED_MAX
        assert client.put_rows(task_id, 1, [["1", "a"]]).status_code == 200
