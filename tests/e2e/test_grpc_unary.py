"""One call per step: every method, and every refusal that a client can provoke."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.domain.errors import ErrorCode
from sluice.domain.events import Event
from sluice.domain.keys import INPUT_PREFIX, TaskId, TaskRef
from sluice.domain.limits import DAY_S, Limits
from sluice.domain.options import ExportFormat
from sluice.domain.task import State, Task
from sluice.ports.store_errors import OutcomeUnknown
from sluice.proto import export_pb2 as pb
from sluice.usecases.sending.cancel_export import delete_export
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.grpc_client import (
    GrpcClient,
    Refusal,
    batch_of,
    metadata_of,
    raw_stream,
    raw_unary,
    refused,
    rows_of,
    serving,
    serving_client,
)
from tests.support.memory_service import TENANT, MemoryService

Status = grpc.StatusCode
UNKNOWN_ID = "a" * 26


@pytest.fixture
def memory(tmp_path: Path) -> MemoryService:
    return MemoryService(tmp_path)


@pytest.fixture
def client(memory: MemoryService) -> Iterator[GrpcClient]:
    with serving_client(memory) as serving_one:
        yield serving_one


def opened(client: GrpcClient, **fields: object) -> str:
    response: pb.ExportResponse = client.call("OpenExport", metadata_of(**fields))  # type: ignore[arg-type]  # fields of the message
    return response.task_id


def put(client: GrpcClient, task_id: str, batch: pb.DataBatch) -> pb.BatchAck:
    ack: pb.BatchAck = client.call("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch))
    return ack


def put_refused(client: GrpcClient, task_id: str, batch: pb.DataBatch) -> Refusal:
    return client.refused("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch))


def closed(client: GrpcClient, task_id: str, **totals: int) -> pb.TaskStatusResponse:
    request = pb.CloseExportRequest(task_id=task_id, totals=pb.CloseTotals(**totals))  # type: ignore[arg-type]  # the numbers among its fields
    row: pb.TaskStatusResponse = client.call("CloseExport", request)
    return row


def close_refused(client: GrpcClient, task_id: str, **totals: int) -> Refusal:
    request = pb.CloseExportRequest(task_id=task_id, totals=pb.CloseTotals(**totals))  # type: ignore[arg-type]  # the numbers among its fields
    return client.refused("CloseExport", request)


def status(client: GrpcClient, task_id: str) -> pb.TaskStatusResponse:
    row: pb.TaskStatusResponse = client.call("QueryTaskStatus", pb.TaskStatusRequest(task_id=task_id))
    return row


def completed(client: GrpcClient, memory: MemoryService, **fields: object) -> str:
    """A finished task of three rows."""
    task_id = opened(client, **fields)
    put(client, task_id, batch_of(rows_of(1, 3), 1))
    closed(client, task_id)
    memory.invoker.join()
    assert status(client, task_id).status == pb.TASK_STATUS_COMPLETED
    return task_id


def test_step_by_step(memory: MemoryService, client: GrpcClient) -> None:
    response = client.call("OpenExport", metadata_of(filename="a/../orders.csv", expected_records=5))
    task_id = response.task_id
    assert (len(task_id), response.status) == (26, pb.TASK_STATUS_QUEUED)
    ack = put(client, task_id, batch_of(rows_of(1, 3), 1))
    assert (ack.batch_sequence, ack.records, ack.replayed, len(ack.sha256)) == (1, 3, False, 32)
    put(client, task_id, batch_of(rows_of(4, 2), 2))
    waiting = status(client, task_id)
    assert (waiting.state, waiting.records_received, waiting.batches_received) == ("open", 5, 2)
    assert (waiting.filename, waiting.format, waiting.oss_url) == ("a..orders.csv", pb.FORMAT_CSV, "")
    sealed = closed(client, task_id, batches=2, records=5)
    assert (sealed.task_id, sealed.records_received) == (task_id, 5)
    memory.invoker.join()
    done = status(client, task_id)
    assert (done.state, done.records_processed, done.progress_percent) == ("completed", 5, 100)
    assert done.file_size_bytes == len(memory.file(task_id))
    assert memory.row(task_id).result_key in done.oss_url


def test_row_1_open_without_a_request_id_makes_a_task_each_time(client: GrpcClient) -> None:
    assert opened(client) != opened(client)


def test_row_2_open_100_times_at_once_makes_one_task(memory: MemoryService, client: GrpcClient) -> None:
    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(lambda _: opened(client, request_id="one"), range(100)))
    assert len(ids) == 1
    assert len(memory.journal.of(Event.TASK_CREATED)) == 1


def test_a_task_opened_again_says_what_it_has(client: GrpcClient) -> None:
    task_id = opened(client, request_id="one")
    put(client, task_id, batch_of(rows_of(1, 1), 7))
    put(client, task_id, batch_of(rows_of(1, 1), 3))
    again = client.call("OpenExport", metadata_of(request_id="one"))
    assert (again.task_id, again.replayed, list(again.held_sequences)) == (task_id, True, [3, 7])


def test_row_3_another_table_under_the_same_request_id_is_refused(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client, request_id="one")
    before = memory.row(task_id)
    said = client.refused("OpenExport", metadata_of(request_id="one", options={"csv_bom": False}))
    assert said.answer == ("IDEMPOTENCY_KEY_REUSED", Status.ALREADY_EXISTS, {})
    assert memory.row(task_id) == before


def test_row_4_the_request_id_of_a_deleted_task_is_used_up(memory: MemoryService, client: GrpcClient) -> None:
    task_id = completed(client, memory, request_id="one")
    delete_export(memory.ports, TaskRef(TENANT, TaskId(task_id)))
    gone: tuple[str, grpc.StatusCode, dict[str, object]] = ("TASK_DELETED", Status.NOT_FOUND, {})
    assert client.refused("OpenExport", metadata_of(request_id="one")).answer == gone
    for method in ("QueryTaskStatus", "CreateDownloadLink", "CancelExport"):
        assert client.refused(method, pb.TaskStatusRequest(task_id=task_id)).answer == gone


@pytest.mark.parametrize("request_id", ["k" * 256, "é" * 128, "a\nb", "a\x00b", "\u202ea"])
def test_row_5_text_that_is_no_request_id_is_refused(client: GrpcClient, request_id: str) -> None:
    said = client.refused("OpenExport", metadata_of(request_id=request_id))
    assert said.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {"field": "idempotency_key"})


def test_the_longest_request_id_is_accepted(client: GrpcClient) -> None:
    assert opened(client, request_id="k" * 255)


@pytest.mark.parametrize("number", [0, 99])
def test_row_6_a_format_that_is_not_offered_is_refused(client: GrpcClient, number: int) -> None:
    said = client.refused("OpenExport", metadata_of(kind=number))  # type: ignore[arg-type]  # what a newer client may send
    offered = {"formats": [known.value for known in ExportFormat]}
    assert said.answer == ("UNSUPPORTED_FORMAT", Status.INVALID_ARGUMENT, offered)


@pytest.mark.parametrize(
    ("columns", "code"), [(0, "INVALID_REQUEST"), (1, ""), (16_384, ""), (16_385, "TOO_MANY_COLUMNS")]
)
def test_row_7_a_table_has_some_columns_and_not_too_many(client: GrpcClient, columns: int, code: str) -> None:
    metadata = metadata_of(["c"] * columns, kind=pb.FORMAT_EXCEL)
    if code:
        said = client.refused("OpenExport", metadata)
        assert (said.code, said.status) == (code, Status.INVALID_ARGUMENT)
    else:
        client.call("OpenExport", metadata)


@pytest.mark.parametrize(("names", "fits"), [(["a", "a"], True), ([""], True), (["n" * 300], False)])
def test_row_8_names_may_repeat_or_be_empty_but_not_be_endless(
    client: GrpcClient, names: list[str], *, fits: bool
) -> None:
    if fits:
        assert client.call("OpenExport", metadata_of(names)).task_id
    else:
        said = client.refused("OpenExport", metadata_of(names))
        assert said.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {"field": "columns[0].name"})


@pytest.mark.parametrize(
    ("options", "code", "facts"),
    [
        ({"csv_encoding": "klingon"}, "UNSUPPORTED_ENCODING", None),
        ({"on_invalid": "guess"}, "INVALID_REQUEST", {"field": "options.on_invalid"}),
        ({"timezone": "Mars/Olympus"}, "INVALID_REQUEST", {"field": "options.timezone"}),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(
    client: GrpcClient, options: dict[str, str], code: str, facts: dict[str, object] | None
) -> None:
    said = client.refused("OpenExport", metadata_of(options=options))
    assert (said.code, said.status) == (code, Status.INVALID_ARGUMENT)
    assert facts in (None, said.facts)


@pytest.mark.parametrize("sequence", [0, -1, 2**31, 2**63 - 1, -(2**63)])
def test_row_9_a_number_that_is_no_sequence_is_refused(client: GrpcClient, sequence: int) -> None:
    said = put_refused(client, opened(client), batch_of(rows_of(1, 1), sequence))
    assert said.answer == ("SEQ_OUT_OF_RANGE", Status.INVALID_ARGUMENT, {})


def test_row_10_one_batch_too_many_is_refused(client: GrpcClient) -> None:
    task_id = opened(client)
    assert put(client, task_id, batch_of(rows_of(1, 1), 10_000)).batch_sequence == 10_000
    said = put_refused(client, task_id, batch_of(rows_of(1, 1), 10_001))
    assert said.answer == ("TOO_MANY_BATCHES", Status.RESOURCE_EXHAUSTED, {"batches_max": 10_000})


def test_the_longest_facts_arrive(client: GrpcClient) -> None:
    name = "\U0001f600" * 255
    column = pb.ColumnDefinition(name=name, data_type=pb.DATA_TYPE_NUMBER)
    metadata = pb.ExportMetadata(format=pb.FORMAT_CSV, columns=[column])
    task_id = client.call("OpenExport", metadata).task_id
    said = put_refused(client, task_id, batch_of([["no number"]], 1))
    assert said.answer == (
        "INVALID_VALUE",
        Status.INVALID_ARGUMENT,
        {"row": 1, "column": name, "column_type": "number", "batch": 1},
    )
    assert said.info is not None
    assert said.info.metadata["column"] == name


def test_row_11_a_batch_without_rows_counts_as_a_batch(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client)
    assert put(client, task_id, batch_of([], 1)).records == 0
    closed(client, task_id, batches=1, records=0)
    assert memory.row(task_id).total_batches == 1


def test_row_12_a_row_of_another_width_is_named_and_nothing_is_stored(
    memory: MemoryService, client: GrpcClient
) -> None:
    task_id = opened(client)
    said = put_refused(client, task_id, batch_of([("1", "a"), ("2", "b", "c")], 1))
    assert said.answer == (
        "ROW_WIDTH_MISMATCH", Status.INVALID_ARGUMENT, {"row": 2, "cells": 3, "columns": 2, "batch": 1},
    )  # fmt: skip
    assert list(memory.store.list(INPUT_PREFIX)) == []


@pytest.mark.parametrize(("chars", "fits"), [(79, True), (80, False)])
def test_rows_13_and_14_a_batch_is_at_most_as_large_as_the_limit(tmp_path: Path, chars: int, *, fits: bool) -> None:
    # 9 canonical bytes around the text: the array, version and rows (3), the array of
    # columns (1), the column (1), the head of a text of this length (2), no nulls (2).
    memory = MemoryService(tmp_path, limits=Limits(batch_bytes_max=88))
    with serving_client(memory) as client:
        task_id = client.call("OpenExport", metadata_of(["a"])).task_id
        batch = batch_of([["x" * chars]], 1)
        if fits:
            assert put(client, task_id, batch).records == 1
        else:
            said = put_refused(client, task_id, batch)
            facts = {"bytes": 89, "batch_bytes_max": 88}
            assert said.answer == ("BATCH_TOO_LARGE", Status.RESOURCE_EXHAUSTED, facts)


def test_row_15_the_same_batch_50_times_at_once_is_one_batch(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client)
    with ThreadPoolExecutor(20) as pool:
        acks = list(pool.map(lambda _: put(client, task_id, batch_of(rows_of(1, 9), 1)), range(50)))
    assert len({ack.sha256 for ack in acks}) == 1
    assert [ack.replayed for ack in acks].count(False) == 1
    assert memory.row(task_id).rows_received == 9
    assert len(list(memory.store.list(INPUT_PREFIX))) == 1


@pytest.mark.parametrize("other", [[("1", "a"), ("2", "B")], [("1.0", "a"), ("2", "b")], [("1", "a")]])
def test_rows_16_and_17_other_rows_under_a_taken_number_are_refused(
    memory: MemoryService, client: GrpcClient, other: list[tuple[str, str]]
) -> None:
    task_id = opened(client)
    ack = put(client, task_id, batch_of([("1", "a"), ("2", "b")], 1))
    said = put_refused(client, task_id, batch_of(other, 1))
    facts = {"sequence": 1, "stored_sha256": ack.sha256}
    assert said.answer == ("BATCH_CONFLICT", Status.ALREADY_EXISTS, facts)
    assert memory.row(task_id).rows_received == 2


def test_row_18_rows_without_their_checksum_are_not_stored(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client)
    said = put_refused(client, task_id, batch_of(rows_of(1, 2), 1, sha256="0" * 64))
    assert said.answer == ("CHECKSUM_MISMATCH", Status.INVALID_ARGUMENT, {})
    assert list(memory.store.list(INPUT_PREFIX)) == []


def test_rows_20_to_22_a_close_that_does_not_agree_changes_nothing(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client)
    for sequence in (1, 3):
        put(client, task_id, batch_of(rows_of(sequence, 1), sequence))
    before = memory.row(task_id)
    refusals = [close_refused(client, task_id, **totals) for totals in ({}, {"batches": 1}, {"batches": 300})]
    assert [said.answer for said in refusals] == [
        ("BATCHES_MISSING", Status.FAILED_PRECONDITION, {"missing": [2], "missing_count": 1}),
        ("BATCHES_EXTRA", Status.FAILED_PRECONDITION, {"extra": [3], "extra_count": 1}),
        ("BATCHES_MISSING", Status.FAILED_PRECONDITION, {"missing": [2, *range(4, 103)], "missing_count": 298}),
    ]
    put(client, task_id, batch_of(rows_of(2, 1), 2))
    off_by_one = close_refused(client, task_id, batches=3, records=4)
    assert off_by_one.answer == (
        "TOTALS_MISMATCH", Status.FAILED_PRECONDITION, {"rows_received": 3, "rows_closed": 4},
    )  # fmt: skip
    assert (before.state, memory.row(task_id).state) == (State.OPEN, State.OPEN)
    assert closed(client, task_id, batches=3, records=3).task_id == task_id


@pytest.mark.parametrize("totals", [{"batches": -1}, {"records": -1}])
def test_totals_below_0_are_refused(client: GrpcClient, totals: dict[str, int]) -> None:
    said = close_refused(client, opened(client), **totals)
    assert (said.code, said.status) == ("INVALID_REQUEST", Status.INVALID_ARGUMENT)


def test_rows_23_and_24_a_close_can_be_repeated_and_not_be_changed(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client)
    put(client, task_id, batch_of(rows_of(1, 2), 1))
    assert closed(client, task_id, batches=1).task_id == closed(client, task_id, batches=1, records=2).task_id
    said = close_refused(client, task_id, batches=2)
    assert said.answer == ("ALREADY_CLOSED", Status.FAILED_PRECONDITION, {"batches": 1, "rows": 2})
    memory.invoker.join()


def test_row_25_a_close_without_batches_gives_a_file_with_a_header(memory: MemoryService, client: GrpcClient) -> None:
    task_id = opened(client)
    closed(client, task_id, batches=0)
    memory.invoker.join()
    assert memory.file(task_id) == b"\xef\xbb\xbfID,Name\r\n"


def test_rows_27_and_28_after_the_close_only_what_is_held_is_acknowledged(
    memory: MemoryService, client: GrpcClient
) -> None:
    task_id = completed(client, memory)
    assert put(client, task_id, batch_of(rows_of(1, 3), 1)).replayed
    late = put_refused(client, task_id, batch_of(rows_of(4, 1), 2))
    assert late.answer == ("TASK_CLOSED", Status.FAILED_PRECONDITION, {"state": "completed"})
    other = put_refused(client, task_id, batch_of(rows_of(4, 1), 1))
    assert other.code == "BATCH_CONFLICT"


BY_ID: dict[str, Callable[[str], object]] = {
    "QueryTaskStatus": lambda task_id: pb.TaskStatusRequest(task_id=task_id),
    "CancelExport": lambda task_id: pb.TaskStatusRequest(task_id=task_id),
    "CreateDownloadLink": lambda task_id: pb.TaskStatusRequest(task_id=task_id),
    "PutBatch": lambda task_id: pb.PutBatchRequest(task_id=task_id, batch=batch_of(rows_of(1, 1), 1)),
    "CloseExport": lambda task_id: pb.CloseExportRequest(task_id=task_id),
    "RenderExport": lambda task_id: pb.RenderExportRequest(task_id=task_id),
}


@pytest.mark.parametrize("method", BY_ID)
def test_row_29_another_tenants_task_is_as_unknown_as_no_task(memory: MemoryService, method: str) -> None:
    with serving(memory) as target:
        owner, stranger = GrpcClient(target, memory.token("acme")), GrpcClient(target, memory.token("other"))
        task_id = opened(owner)
        before = memory.row(task_id)
        foreign = stranger.refused(method, BY_ID[method](task_id))
        unknown = stranger.refused(method, BY_ID[method](UNKNOWN_ID))
        owner.close()
        stranger.close()
    assert foreign.answer == unknown.answer == ("TASK_NOT_FOUND", Status.NOT_FOUND, {})
    assert foreign.detail == unknown.detail
    assert memory.row(task_id) == before


NO_IDS = ["", "/", "..", "%2e" * 9, "\0", "a" * 25, "a" * 27, "a" * 10_000, "A" * 26, "２" * 26, f"{'a' * 26}\n"]  # noqa: RUF001  # a digit that is not 2


class UntouchableTasks(MemoryTasks):
    """Nobody may ask it for anything."""

    def read(self, ref: TaskRef) -> Task | None:
        raise AssertionError(ref)


@pytest.mark.parametrize("method", BY_ID)
def test_row_30_text_that_is_no_task_id_is_unknown_without_asking_a_store(tmp_path: Path, method: str) -> None:
    memory = MemoryService(tmp_path, tasks=lambda _: UntouchableTasks())
    with serving_client(memory) as client:
        answers = {client.refused(method, BY_ID[method](task_id)).code for task_id in NO_IDS}
    assert answers == {"TASK_NOT_FOUND"}


def test_rows_31_and_32_a_cancel_can_be_repeated(client: GrpcClient) -> None:
    task_id = opened(client)
    for _ in range(2):
        said = client.call("CancelExport", pb.TaskStatusRequest(task_id=task_id))
        assert (said.state, said.status) == ("cancelled", pb.TASK_STATUS_CANCELLED)
        assert said.error_code == "CANCELLED"
    cancelled = ("CANCELLED", Status.FAILED_PRECONDITION, {"state": "cancelled"})
    assert close_refused(client, task_id).answer == cancelled
    assert client.refused("CreateDownloadLink", pb.TaskStatusRequest(task_id=task_id)).answer == cancelled


def test_row_32_a_finished_file_cannot_be_cancelled(memory: MemoryService, client: GrpcClient) -> None:
    task_id = completed(client, memory)
    said = client.refused("CancelExport", pb.TaskStatusRequest(task_id=task_id))
    assert said.answer == ("ALREADY_COMPLETED", Status.FAILED_PRECONDITION, {})


def test_row_33_there_is_no_link_before_there_is_a_file(client: GrpcClient) -> None:
    said = client.refused("CreateDownloadLink", pb.TaskStatusRequest(task_id=opened(client)))
    assert said.answer == ("NOT_READY", Status.FAILED_PRECONDITION, {"state": "open", "retry_after_s": 2})
    assert said.retry is not None
    assert said.retry.retry_delay.seconds == 2


def test_a_link_is_minted_for_exactly_the_file(memory: MemoryService, client: GrpcClient) -> None:
    task_id = completed(client, memory)
    link = client.stub.CreateDownloadLink(pb.TaskStatusRequest(task_id=task_id), metadata=client.metadata, timeout=20)
    assert memory.row(task_id).result_key in link.url
    assert link.expires_at > memory.clock.now()


def test_row_34_after_its_time_a_file_has_no_link_and_still_a_status(tmp_path: Path) -> None:
    clock = FakeClock()
    memory = MemoryService(tmp_path, clock=clock)
    with serving_client(memory) as client:
        task_id = completed(client, memory)
        clock.advance(8 * DAY_S)
        link = pb.TaskStatusRequest(task_id=task_id)
        assert client.refused("CreateDownloadLink", link).answer == ("EXPIRED", Status.FAILED_PRECONDITION, {})
        assert (status(client, task_id).state, status(client, task_id).oss_url) == ("completed", "")
        sweep_tasks(memory.ports)
        assert status(client, task_id).status == pb.TASK_STATUS_EXPIRED
        assert client.refused("CreateDownloadLink", link).code == "EXPIRED"


def test_the_same_rows_can_be_rendered_again_as_another_format(memory: MemoryService, client: GrpcClient) -> None:
    source = completed(client, memory)
    request = pb.RenderExportRequest(task_id=source, format=pb.FORMAT_EXCEL, request_id="again")
    first, second = (client.call("RenderExport", request) for _ in range(2))
    assert (first.task_id, second.replayed) == (second.task_id, True)
    memory.invoker.join()
    assert memory.file(first.task_id)[:2] == b"PK"
    assert status(client, first.task_id).filename == "orders.xlsx"


def test_an_open_task_cannot_be_rendered_again(client: GrpcClient) -> None:
    said = client.refused("RenderExport", pb.RenderExportRequest(task_id=opened(client)))
    assert (said.code, said.facts["state"]) == ("NOT_READY", "open")


def test_tasks_are_listed_page_by_page_newest_first(memory: MemoryService, client: GrpcClient) -> None:
    ids = [opened(client) for _ in range(5)]
    done = completed(client, memory)
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.stub.ListTasks(pb.ListTasksRequest(limit=2, cursor=cursor), metadata=client.metadata, timeout=20)
        seen += [task.task_id for task in page.tasks]
        cursor = page.cursor
        if not cursor:
            break
    assert sorted(seen) == sorted([*ids, done])
    assert seen[0] == done
    page = client.stub.ListTasks(pb.ListTasksRequest(state="completed"), metadata=client.metadata, timeout=20)
    assert [(task.task_id, task.oss_url) for task in page.tasks] == [(done, "")]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListTasksRequest(limit=-1), "limit"),
        (pb.ListTasksRequest(limit=501), "limit"),
        (pb.ListTasksRequest(state="OPEN"), "state"),
        (pb.ListTasksRequest(cursor="../../x"), "cursor"),
    ],
)
def test_a_list_that_cannot_be_is_refused(client: GrpcClient, request_: pb.ListTasksRequest, field: str) -> None:
    said = client.refused("ListTasks", request_)
    assert said.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {"field": field})


def test_too_many_open_exports_are_refused(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, limits=Limits(open_tasks_max=2))
    with serving_client(memory) as client:
        opened(client)
        opened(client)
        said = client.refused("OpenExport", metadata_of())
    assert said.answer == ("QUOTA_EXCEEDED", Status.RESOURCE_EXHAUSTED, {"open_tasks_max": 2, "retry_after_s": 60})


class SilentTasks(MemoryTasks):
    """Its answers are lost."""

    def read(self, ref: TaskRef) -> Task | None:
        raise OutcomeUnknown("tasks.internal:8443 timed out")


def test_a_store_that_does_not_answer_is_told_as_that(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, tasks=lambda _: SilentTasks())
    with serving_client(memory) as client:
        said = client.refused("QueryTaskStatus", pb.TaskStatusRequest(task_id=UNKNOWN_ID))
    assert said.answer == ("STORE_UNAVAILABLE", Status.UNAVAILABLE, {})
    assert said.retry is not None
    assert "internal" not in f"{said}"


class BuggyTasks(MemoryTasks):
    """Has a bug that quotes a secret."""

    def read(self, ref: TaskRef) -> Task | None:
        raise KeyError("AKID-secret")


def test_s32_a_bug_is_told_without_its_words_and_can_be_found(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, tasks=lambda _: BuggyTasks())
    with serving_client(memory) as client:
        more = {"metadata": (*client.metadata, ("x-request-id", "mine-1"))}
        said = client.refused("QueryTaskStatus", pb.TaskStatusRequest(task_id=UNKNOWN_ID), **more)
    assert said.answer == (ErrorCode.INTERNAL.value, Status.INTERNAL, {})
    assert said.request_id == "mine-1"
    assert "AKID" not in f"{said}"
    assert len(memory.journal.of(Event.SYSTEM_ERROR)) == 1


def test_a_call_without_a_request_is_refused(client: GrpcClient) -> None:
    call = raw_stream(client.channel, "/export.ExportService/QueryTaskStatus")
    said = refused(lambda: list(call(iter(()), metadata=client.metadata, timeout=20)))
    assert said.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {})


def test_bytes_that_are_no_message_are_refused(client: GrpcClient) -> None:
    call = raw_unary(client.channel, "/export.ExportService/QueryTaskStatus")
    said = refused(lambda: call(b"\xff\xff", metadata=client.metadata, timeout=20))
    assert said.answer == ("INVALID_REQUEST", Status.INVALID_ARGUMENT, {})
