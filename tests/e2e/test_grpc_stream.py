"""StreamExport: the whole conversation, and every way it can go wrong while the client is there."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Timer

import grpc
import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import INPUT_PREFIX, TenantId
from sluice.domain.limits import Limits
from sluice.domain.task import State
from sluice.ports.object_store import ObjectStore
from sluice.proto import export_pb2 as pb
from tests.support.fake_clock import FakeClock
from tests.support.grpc_client import (
    GrpcClient,
    batch_of,
    closing,
    opening,
    raw_stream,
    refused,
    rows_of,
    sending,
    serving_client,
)
from tests.support.memory_service import MemoryService

Status = grpc.StatusCode
HEADER = ["ID", "Name"]


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path)


@pytest.fixture
def client(memory: MemoryService) -> Iterator[GrpcClient]:
    with serving_client(memory) as serving:
        yield serving


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def lists(rows: list[tuple[str, str]]) -> list[list[str]]:
    return [list(row) for row in rows]


def test_the_conversation_of_the_readme(memory: MemoryService, client: GrpcClient) -> None:
    stream = client.open_stream()
    stream.write(opening(request_id="65a1", filename="export_2026-01-09.csv"))
    first = stream.read()  # before any batch is sent
    assert (len(first.task_id), first.status, first.oss_url) == (26, pb.TASK_STATUS_QUEUED, "")
    stream.write(sending(rows_of(1, 1000), 1), sending(rows_of(1001, 1000), 2), sending(rows_of(2001, 7), 3))
    stream.done()
    outcome = stream.rest()

    assert outcome.refusal is None
    (final,) = outcome.responses
    file = memory.file(first.task_id)
    assert table(file) == [HEADER, *lists(rows_of(1, 2007))]
    assert (final.task_id, final.status) == (first.task_id, pb.TASK_STATUS_COMPLETED)
    assert (final.file_size_bytes, final.record_count, final.progress_percent) == (len(file), 2007, 100)
    assert final.checksum_sha256 == hashlib.sha256(file).hexdigest()
    assert memory.row(first.task_id).result_key in final.oss_url
    assert 0 < final.start_time <= final.completion_time
    assert (final.error_code, final.error_message) == ("", "")

    status = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=first.task_id))
    assert (status.status, status.progress_percent) == (pb.TASK_STATUS_COMPLETED, 100)
    assert memory.row(first.task_id).result_key in status.oss_url


def test_a_workbook_comes_out_as_well(memory: MemoryService, client: GrpcClient) -> None:
    outcome = client.export([opening(kind=pb.FORMAT_EXCEL), sending(rows_of(1, 3))])
    assert outcome.last.status == pb.TASK_STATUS_COMPLETED
    assert memory.file(outcome.last.task_id)[:4] == b"PK\3\4"


def test_what_the_writer_counted_comes_with_the_result(client: GrpcClient) -> None:
    outcome = client.export([opening(), sending([("1", "=1+1"), ("2", "@x")])])
    assert dict(outcome.last.warnings) == {"formula_guarded": 2}


def test_batches_without_numbers_are_numbered_as_they_come(memory: MemoryService, client: GrpcClient) -> None:
    outcome = client.export([opening(), *(sending(rows_of(first, 2)) for first in (1, 3, 5))])
    assert table(memory.file(outcome.last.task_id)) == [HEADER, *lists(rows_of(1, 6))]


def test_row_19_batches_are_put_in_the_order_of_their_numbers(memory: MemoryService, client: GrpcClient) -> None:
    outcome = client.export([opening(), *(sending(rows_of(number, 1), number) for number in (5, 4, 3, 2, 1))])
    assert table(memory.file(outcome.last.task_id)) == [HEADER, *lists(rows_of(1, 5))]


@pytest.mark.parametrize("numbers", [(1, 0), (0, 2)])
def test_numbered_and_unnumbered_batches_do_not_mix(client: GrpcClient, numbers: tuple[int, int]) -> None:
    outcome = client.export([opening(), *(sending(rows_of(1, 1), number) for number in numbers)])
    assert outcome.answer == ("SEQ_OUT_OF_RANGE", Status.INVALID_ARGUMENT, {"place": 2})


def test_row_25_an_export_without_batches_is_a_header(memory: MemoryService, client: GrpcClient) -> None:
    outcome = client.export([opening()])
    assert (outcome.last.status, outcome.last.record_count) == (pb.TASK_STATUS_COMPLETED, 0)
    assert table(memory.file(outcome.last.task_id)) == [HEADER]


def test_acks_come_one_for_each_batch(client: GrpcClient) -> None:
    stream = client.open_stream()
    stream.write(opening(ack_batches=True))
    task_id = stream.read().task_id
    stream.write(sending(rows_of(1, 3), 1))
    ack = stream.read().batch_ack  # before the next batch is sent
    assert (ack.batch_sequence, ack.records, len(ack.sha256), ack.replayed) == (1, 3, 32, False)
    stream.write(sending(rows_of(1, 3), 1))
    again = stream.read()
    assert again.task_id == task_id
    assert again.batch_ack == pb.BatchAck(batch_sequence=1, records=3, sha256=ack.sha256, replayed=True)
    stream.done()
    assert [response.status for response in stream.rest().responses] == [pb.TASK_STATUS_COMPLETED]


def test_without_an_early_response_there_is_exactly_one(client: GrpcClient) -> None:
    outcome = client.export([opening(early_response=False), sending(rows_of(1, 3), 1)])
    assert [response.status for response in outcome.responses] == [pb.TASK_STATUS_COMPLETED]
    assert outcome.refusal is None


def test_it_can_be_called_as_client_streaming(client: GrpcClient) -> None:
    call = client.channel.stream_unary(
        "/export.ExportService/StreamExport",
        request_serializer=pb.ExportRequest.SerializeToString,
        response_deserializer=pb.ExportResponse.FromString,
    )
    requests = [opening(early_response=False), sending(rows_of(1, 3), 1)]
    response = call(iter(requests), metadata=client.metadata, timeout=20)
    assert (response.status, response.record_count) == (pb.TASK_STATUS_COMPLETED, 3)


def test_without_waiting_the_last_response_comes_with_the_seal(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory) as client:
        outcome = client.export([opening(wait=False), sending(rows_of(1, 3), 1)])
        assert [response.status for response in outcome.responses] == [pb.TASK_STATUS_QUEUED] * 2
        assert (outcome.refusal, outcome.last.record_count) == (None, 3)
        assert memory.row(outcome.last.task_id).state is State.SEALED


def test_when_the_wait_runs_out_the_state_is_said_without_an_error(tmp_path: Path) -> None:
    clock = FakeClock()
    memory = MemoryService(tmp_path, paused=True, clock=clock)
    with serving_client(memory) as client:
        outcome = client.export([opening(wait_timeout_s=10), sending(rows_of(1, 3), 1)])
        assert (outcome.refusal, outcome.last.status) == (None, pb.TASK_STATUS_QUEUED)
    assert sum(clock.slept) == pytest.approx(10)
    assert clock.slept[0] == 0.02
    assert clock.slept[:-1] == sorted(clock.slept[:-1])  # the pauses grow,
    assert max(clock.slept) == 0.5  # up to a limit


def test_the_last_word_comes_before_the_deadline_of_the_call(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory) as client:
        for timeout_s in (1.5, 6, 24):  # on a slow machine all that comes before the wait takes its time
            outcome = client.export([opening(), sending(rows_of(1, 3), 1)], timeout_s=timeout_s)
            if outcome.refusal is None:
                break
        assert (outcome.refusal, outcome.last.status) == (None, pb.TASK_STATUS_QUEUED)


def test_row_35_a_deadline_that_is_too_short_harms_nothing(memory: MemoryService, client: GrpcClient) -> None:
    requests = [opening(request_id="again"), sending(rows_of(1, 3), 1)]
    hasty = client.export(requests, timeout_s=0.001)
    assert hasty.refusal is not None
    assert hasty.refusal.status is Status.DEADLINE_EXCEEDED
    assert client.export(requests).last.status == pb.TASK_STATUS_COMPLETED
    assert memory.only_row().result_rows == 3


def test_the_result_is_waited_for(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory) as client:
        stream = client.open_stream()
        stream.write(opening(), sending(rows_of(1, 3), 1))
        stream.done()
        stream.read()
        Timer(0.3, memory.invoker.release).start()
        assert stream.rest().last.status == pb.TASK_STATUS_COMPLETED


def test_row_31_a_task_cancelled_while_it_is_waited_for_ends_the_wait(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory) as client:
        stream = client.open_stream()
        stream.write(opening(), sending(rows_of(1, 3), 1))
        task_id = stream.read().task_id
        stream.done()
        _wait_until(lambda: memory.row(task_id).state is State.SEALED)
        client.call("CancelExport", pb.TaskStatusRequest(task_id=task_id))
        outcome = stream.rest()
        assert (outcome.last.status, outcome.last.error_code) == (pb.TASK_STATUS_CANCELLED, "CANCELLED")
        assert outcome.answer == ("CANCELLED", Status.FAILED_PRECONDITION, {})
    assert memory.row(task_id).state is State.CANCELLED  # and composing it later changes nothing


def test_a_task_cancelled_while_it_is_sent_takes_no_more_batches(client: GrpcClient) -> None:
    stream = client.open_stream()
    stream.write(opening())
    task_id = stream.read().task_id
    client.call("CancelExport", pb.TaskStatusRequest(task_id=task_id))
    stream.write(sending(rows_of(1, 1), 1))
    outcome = stream.rest()
    assert outcome.last.status == pb.TASK_STATUS_CANCELLED
    assert outcome.answer == ("CANCELLED", Status.FAILED_PRECONDITION, {"state": "cancelled"})


def test_a_failed_task_is_told_in_a_message_and_in_the_status(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving_client(memory) as client:
        stream = client.open_stream()
        stream.write(opening(), sending(rows_of(1, 3), 1))
        task_id = stream.read().task_id
        stream.done()
        _wait_until(lambda: memory.row(task_id).state is State.SEALED)
        (chunk,) = (item.key for item in memory.store.list(INPUT_PREFIX) if item.key.endswith(".chunk"))
        memory.store.put(chunk, b"other bytes")
        memory.invoker.release()
        outcome = stream.rest()
    assert (outcome.last.status, outcome.last.error_code) == (pb.TASK_STATUS_FAILED, "CHUNK_CORRUPT")
    assert outcome.last.error_message
    assert outcome.answer == ("CHUNK_CORRUPT", Status.DATA_LOSS, {})
    assert outcome.refusal is not None
    assert outcome.refusal.detail == outcome.last.error_message


REFUSALS = [
    (
        "ROW_WIDTH_MISMATCH", Status.INVALID_ARGUMENT, {"row": 2, "cells": 1, "columns": 2, "batch": 1},
        batch_of([["1", "a"], ["2"]], 1),
    ),
    ("SEQ_OUT_OF_RANGE", Status.INVALID_ARGUMENT, {}, batch_of(rows_of(1, 1), -1)),
    ("SEQ_OUT_OF_RANGE", Status.INVALID_ARGUMENT, {}, batch_of(rows_of(1, 1), 2**31)),
    ("TOO_MANY_BATCHES", Status.RESOURCE_EXHAUSTED, {"batches_max": 10}, batch_of(rows_of(1, 1), 11)),
    ("BATCH_TOO_LARGE", Status.RESOURCE_EXHAUSTED, {"batch_rows_max": 50}, batch_of(rows_of(1, 51), 1)),
    ("CHECKSUM_MISMATCH", Status.INVALID_ARGUMENT, {}, batch_of(rows_of(1, 1), 1, sha256="00")),
    (
        "INVALID_VALUE", Status.INVALID_ARGUMENT, {"row": 1, "column": "ID", "column_type": "number", "batch": 1},
        batch_of([["one", "a"]], 1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "status", "facts", "batch"), REFUSALS)
def test_a_refused_batch_is_told_in_a_message_and_in_the_status(
    tmp_path: Path, code: str, status: grpc.StatusCode, facts: dict[str, object], batch: pb.DataBatch
) -> None:
    memory = MemoryService(tmp_path, limits=Limits(batches_max=10, batch_rows_max=50))
    with serving_client(memory) as client:
        metadata = opening()
        metadata.metadata.columns[0].data_type = pb.DATA_TYPE_NUMBER
        outcome = client.export([metadata, pb.ExportRequest(batch=batch)])
    first, last = outcome.responses
    assert (last.task_id, last.status, last.error_code) == (first.task_id, pb.TASK_STATUS_FAILED, code)
    assert outcome.answer == (code, status, facts)
    assert outcome.refusal is not None
    assert outcome.refusal.detail == last.error_message
    assert memory.row(first.task_id).state is State.OPEN
    assert memory.held(first.task_id) == []
    assert list(memory.store.list(INPUT_PREFIX)) == []
    assert [entry["error_code"] for entry in memory.journal.of(Event.BATCH_REJECTED)] == [code]


def test_row_16_another_batch_under_a_taken_number_is_refused(memory: MemoryService, client: GrpcClient) -> None:
    outcome = client.export([opening(), sending([("1", "a")], 1), sending([("1", "b")], 1)])
    assert outcome.refusal is not None
    assert (outcome.refusal.code, outcome.refusal.status) == ("BATCH_CONFLICT", Status.ALREADY_EXISTS)
    assert outcome.refusal.facts["sequence"] == 1
    assert memory.held(outcome.last.task_id) == [1]


@pytest.mark.parametrize(
    ("totals", "code", "facts"),
    [
        ({"batches": 4}, "BATCHES_MISSING", {"missing": [4], "missing_count": 1}),
        ({"batches": 2}, "BATCHES_EXTRA", {"extra": [3], "extra_count": 1}),
        ({"records": 5}, "TOTALS_MISMATCH", {"rows_received": 6, "rows_closed": 5}),
    ],
)
def test_rows_20_to_22_totals_that_do_not_agree_leave_the_task_open(
    memory: MemoryService, client: GrpcClient, totals: dict[str, int], code: str, facts: dict[str, object]
) -> None:
    batches = [sending(rows_of(2 * number - 1, 2), number) for number in (1, 2, 3)]
    outcome = client.export([opening(request_id="r"), *batches, closing(**totals)])
    assert (outcome.last.status, outcome.last.error_code) == (pb.TASK_STATUS_FAILED, code)
    assert outcome.answer == (code, Status.FAILED_PRECONDITION, facts)
    assert memory.row(outcome.last.task_id).state is State.OPEN
    corrected = client.export([opening(request_id="r"), closing(batches=3, records=6)])
    assert (corrected.last.status, corrected.last.record_count) == (pb.TASK_STATUS_COMPLETED, 6)


def test_row_20_a_gap_is_told_even_without_totals(client: GrpcClient) -> None:
    outcome = client.export([opening(), sending(rows_of(1, 1), 1), sending(rows_of(3, 1), 3)])
    assert outcome.answer == ("BATCHES_MISSING", Status.FAILED_PRECONDITION, {"missing": [2], "missing_count": 1})


MALFORMED = {
    "no message at all": ([], "metadata"),
    "a batch first": ([sending(rows_of(1, 1), 1)], "metadata"),
    "totals first": ([closing(batches=0)], "metadata"),
    "an empty message first": ([pb.ExportRequest()], "metadata"),
    "metadata twice": ([opening(), opening()], "metadata"),
    "an empty message": ([opening(), pb.ExportRequest()], "payload"),
    "a batch after the totals": ([opening(), closing(batches=0), sending(rows_of(1, 1), 1)], "close"),
    "totals twice": ([opening(), closing(batches=0), closing(batches=0)], "close"),
    "a negative wait": ([opening(wait_timeout_s=-1)], "wait_timeout_s"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_messages_out_of_order_are_refused(memory: MemoryService, client: GrpcClient, case: str) -> None:
    requests, field = MALFORMED[case]
    outcome = client.export(requests)
    assert outcome.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {"field": field})
    assert outcome.last.error_code == "INVALID_REQUEST"
    assert not [task for task in memory.tasks.scan() if task.state is not State.OPEN]


def test_bytes_that_are_no_message_are_refused(memory: MemoryService, client: GrpcClient) -> None:
    call = raw_stream(client.channel, "/export.ExportService/StreamExport")
    latin1 = opening("ID", "X").SerializeToString().replace(b"X", b"\xe9")
    for sent in (b"\xff\xff\xff", latin1):
        said = refused(lambda sent=sent: list(call(iter([sent]), metadata=client.metadata, timeout=20)))  # type: ignore[misc]  # bound now
        assert said.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {})
    assert list(memory.tasks.scan()) == []


def test_the_same_stream_again_is_the_same_task_with_the_same_result(client: GrpcClient) -> None:
    requests = [opening(request_id="r"), sending(rows_of(1, 2), 1), sending(rows_of(3, 2), 2)]
    first, again = client.export(requests), client.export(requests)
    assert again.refusal is None
    assert list(again.responses[0].held_sequences) == [1, 2]
    assert (again.responses[0].replayed, again.responses[0].status) == (True, pb.TASK_STATUS_COMPLETED)
    assert (again.last.task_id, again.last.checksum_sha256) == (first.last.task_id, first.last.checksum_sha256)


class StuckStore(ForwardingStore):
    """Puts wait until the test opens the gate."""

    def __init__(self, store: ObjectStore, gate: Flag) -> None:
        super().__init__(store)
        self._gate = gate

    def put(self, key: str, data: bytes, *, metadata: object = None) -> None:
        self._gate.wait(20)
        super().put(key, data)


def test_a_slow_store_slows_the_sender_instead_of_filling_memory(tmp_path: Path) -> None:
    gate, taken = Flag(), 0
    memory = MemoryService(tmp_path, objects=lambda store: StuckStore(store, gate))

    def requests() -> Iterator[pb.ExportRequest]:
        nonlocal taken
        yield opening(wait=False)
        for number in range(1, 101):
            taken = number
            yield sending([("x" * 1_000_000, "")], number)

    with serving_client(memory) as client:
        call = client.stub.StreamExport(requests(), metadata=client.metadata, timeout=60)
        next(call)
        time.sleep(1)
        held_back_at = taken
        gate.set()
        assert next(call).record_count == 100
    assert held_back_at < 20
    assert taken == 100
    assert memory.only_row().total_batches == 100


class BrokenStore(ForwardingStore):
    """Puts fail with what the test gives."""

    def __init__(self, store: ObjectStore, error: Exception) -> None:
        super().__init__(store)
        self._error = error

    def put(self, key: str, data: bytes, *, metadata: object = None) -> None:
        raise self._error


def test_a_bug_is_told_without_its_words(tmp_path: Path) -> None:
    bug = RuntimeError("password hunter2 in /srv/secret")
    memory = MemoryService(tmp_path, objects=lambda store: BrokenStore(store, bug))
    with serving_client(memory) as client:
        outcome = client.export([opening(), sending(rows_of(1, 1), 1)])
    assert outcome.answer == ("INTERNAL", Status.INTERNAL, {})
    assert outcome.last.error_code == "INTERNAL"
    assert "hunter2" not in f"{outcome}"
    assert [entry["error"] for entry in memory.journal.of(Event.SYSTEM_ERROR)] == [bug]


def test_a_queue_without_room_is_told_before_a_task_is_made(tmp_path: Path) -> None:
    class Full:
        def admit(self, tenant: TenantId) -> None:
            raise SluiceError(ErrorCode.QUEUE_FULL, retry_after_s=7)

        def has_room(self, tenant: TenantId) -> bool:
            return False

    memory = MemoryService(tmp_path, admission=Full())
    with serving_client(memory) as client:
        outcome = client.export([opening(), sending(rows_of(1, 1), 1)])
    assert outcome.answer == ("QUEUE_FULL", Status.RESOURCE_EXHAUSTED, {"retry_after_s": 7})
    assert outcome.refusal is not None
    assert outcome.refusal.retry is not None
    assert outcome.refusal.retry.retry_delay.seconds == 7
    assert list(memory.tasks.scan()) == []


def _wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_stream_that_was_refused_says_so_in_the_status_until_it_was_continued(
    memory: MemoryService, client: GrpcClient
) -> None:
    metadata = opening(request_id="resumed")
    metadata.metadata.columns[0].data_type = pb.DATA_TYPE_NUMBER
    good = [sending([(str(sequence), "a")], sequence) for sequence in (1, 2, 4)]
    outcome = client.export([metadata, *good, sending([("5", "a"), ("six", "b")], 5)])
    assert (outcome.last.status, outcome.last.error_code) == (pb.TASK_STATUS_FAILED, "INVALID_VALUE")
    task_id = outcome.last.task_id
    refused_status = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=task_id))
    assert (refused_status.state, refused_status.status) == ("open", pb.TASK_STATUS_PROCESSING)
    assert refused_status.error_code == "INVALID_VALUE"
    assert "row: 2, column: ID" in refused_status.error_message
    assert "six" not in refused_status.error_message
    assert [(run.first, run.last) for run in refused_status.stored] == [(1, 2), (4, 4)]
    assert refused_status.open_until == int(memory.row(task_id).due_at) > refused_status.start_time
    rest = [sending([(str(sequence), "a")], sequence) for sequence in (3, 5)]
    assert client.export([metadata, *rest]).last.status == pb.TASK_STATUS_COMPLETED
    done = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=task_id))
    assert (done.error_code, done.attempt_error_code, list(done.stored), done.open_until) == ("", "", [], 0)
