"""What each row says to a gRPC client."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.api.grpc.responses import failure_response, opened_response, outcome_response, status_response
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Phase, State, Task
from sluice.proto import export_pb2 as pb
from sluice.usecases.reading.make_link import Link

PARAMS = ExportParams(format=ExportFormat.XLSX, filename="orders.xlsx", columns=(ColumnSpec("ID"),))
LINK = Link("https://example.com/f", 2_000.9)


def row(state: State, **fields: Any) -> Task:
    given: dict[str, Any] = {
        "tenant": TenantId("acme"), "task_id": TaskId("a" * 26), "state": state, "params_sha": PARAMS.digest(),
        "params": PARAMS, "created_at": 1_000.5, "due_at": 0, **fields,
    }  # fmt: skip
    return Task(**given)


COMPLETED = row(
    State.COMPLETED,
    rows_received=7, batches_received=2, rows_done=7, result_rows=7, result_size=99, result_sha256="ab",
    result_crc64="12", warnings={"text_cut": 3}, finished_at=1_060.2, expires_at=9_000.7,
)  # fmt: skip


@pytest.mark.parametrize(
    ("task", "status"),
    [
        (row(State.OPEN), pb.TASK_STATUS_QUEUED),
        (row(State.OPEN, batches_received=1, rows_received=1), pb.TASK_STATUS_PROCESSING),
        (row(State.SEALED), pb.TASK_STATUS_QUEUED),
        (row(State.COMPOSING, phase=Phase.RENDERING), pb.TASK_STATUS_PROCESSING),
        (row(State.COMPOSING, phase=Phase.UPLOADING), pb.TASK_STATUS_UPLOADING),
        (COMPLETED, pb.TASK_STATUS_COMPLETED),
        (row(State.FAILED), pb.TASK_STATUS_FAILED),
        (row(State.CANCELLED), pb.TASK_STATUS_CANCELLED),
        (row(State.EXPIRED), pb.TASK_STATUS_EXPIRED),
    ],
)
def test_every_state_has_its_status(task: Task, status: pb.TaskStatus) -> None:
    assert status_response(task, None, now=0).status == status
    assert outcome_response(task, None).status == status
    assert opened_response(task, replayed=True).status == status


def test_a_completed_task_says_everything_about_its_file() -> None:
    assert outcome_response(COMPLETED, LINK) == pb.ExportResponse(
        task_id="a" * 26, status=pb.TASK_STATUS_COMPLETED, oss_url="https://example.com/f", file_size_bytes=99,
        record_count=7, progress_percent=100, checksum_sha256="ab", crc64="12", start_time=1_000,
        completion_time=1_060, warnings={"text_cut": 3},
    )  # fmt: skip
    assert status_response(COMPLETED, LINK, now=1_100) == pb.TaskStatusResponse(
        task_id="a" * 26, status=pb.TASK_STATUS_COMPLETED, format=pb.FORMAT_EXCEL, filename="orders.xlsx",
        records_processed=7, progress_percent=100, oss_url="https://example.com/f", file_size_bytes=99,
        start_time=1_000, completion_time=1_060, state="completed", records_received=7, batches_received=2,
        checksum_sha256="ab", crc64="12", expires_at=9_000, warnings={"text_cut": 3},
    )  # fmt: skip


def test_a_composing_task_says_how_far_it_is_and_how_long_it_will_take() -> None:
    composing = row(State.COMPOSING, rows_received=400, total_rows=400, rows_done=100, started_at=1_000)
    said = status_response(composing, None, now=1_010)
    assert (said.progress_percent, said.estimated_time_remaining, said.records_processed) == (25, 30, 400)
    assert outcome_response(composing, None).record_count == 400


def test_an_open_task_says_how_many_rows_are_stored() -> None:
    said = status_response(row(State.OPEN, rows_received=30, batches_received=1), None, now=0)
    assert (said.records_processed, said.status) == (30, pb.TASK_STATUS_PROCESSING)


def test_a_failed_task_says_why() -> None:
    failed = row(State.FAILED, last_error_code="CHUNK_CORRUPT", last_error="a chunk is damaged")
    for said in (status_response(failed, None, now=0), outcome_response(failed, None)):
        assert (said.error_code, said.error_message) == ("CHUNK_CORRUPT", "a chunk is damaged")


def test_what_is_left_of_a_deleted_task_can_still_be_said() -> None:
    said = status_response(row(State.EXPIRED, params=None), None, now=0)
    assert (said.filename, said.format) == ("", pb.FORMAT_UNSPECIFIED)


def test_held_batches_are_told_in_order() -> None:
    assert list(opened_response(row(State.OPEN), replayed=True, accepted={10: 0, 2: 0}).held_sequences) == [2, 10]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.INVALID_VALUE, pb.TASK_STATUS_FAILED),
        (ErrorCode.CANCELLED, pb.TASK_STATUS_CANCELLED),
        (ErrorCode.EXPIRED, pb.TASK_STATUS_EXPIRED),
    ],
)
def test_a_refusal_in_a_stream_is_a_message_of_its_own(code: ErrorCode, status: pb.TaskStatus) -> None:
    said = failure_response("t", SluiceError(code, "the reason"))
    assert said == pb.ExportResponse(task_id="t", status=status, error_code=code.value, error_message="the reason")
