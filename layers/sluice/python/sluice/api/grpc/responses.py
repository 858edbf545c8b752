"""What the service says, in the messages of the wire contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from sluice.api.datasets import DatasetView
from sluice.api.grpc.requests import COLUMN_TYPES, WIRE_FORMATS
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat
from sluice.domain.progress import Status, eta_s, progress_percent, status_of
from sluice.domain.reading import moments_of
from sluice.domain.task import State, Task
from sluice.domain.task_errors import attempt_error_of, error_of, refusal_of
from sluice.proto import export_pb2 as pb
from sluice.tables.formats import filename_of
from sluice.usecases.reading.make_link import Link
from sluice.usecases.sending.put_batch import BatchReceipt

_STATUS: dict[Status, pb.TaskStatus] = {
    Status.QUEUED: pb.TASK_STATUS_QUEUED,
    Status.PROCESSING: pb.TASK_STATUS_PROCESSING,
    Status.UPLOADING: pb.TASK_STATUS_UPLOADING,
    Status.COMPLETED: pb.TASK_STATUS_COMPLETED,
    Status.FAILED: pb.TASK_STATUS_FAILED,
    Status.CANCELLED: pb.TASK_STATUS_CANCELLED,
    Status.EXPIRED: pb.TASK_STATUS_EXPIRED,
}

_WIRE_TYPES = {known.value: cast("pb.DataType", number) for number, known in COLUMN_TYPES.items()}


def opened_response(task: Task, *, replayed: bool, accepted: Iterable[int] = ()) -> pb.ExportResponse:
    """The task's id and status; for a task that existed, the batches it has."""
    return pb.ExportResponse(
        task_id=task.task_id,
        status=_status_of(task),
        start_time=int(task.created_at),
        replayed=replayed,
        held_sequences=sorted(accepted),
    )


def ack_response(task: Task, receipt: BatchReceipt) -> pb.ExportResponse:
    """The acknowledgement of a batch of a stream, whose rows are stored by now."""
    return pb.ExportResponse(task_id=task.task_id, status=pb.TASK_STATUS_PROCESSING, batch_ack=batch_ack(receipt))


def batch_ack(receipt: BatchReceipt) -> pb.BatchAck:
    return pb.BatchAck(
        batch_sequence=receipt.sequence, records=receipt.rows, sha256=receipt.sha, replayed=receipt.replayed
    )


def outcome_response(task: Task, link: Link | None, *, unchecked_end: bool = False) -> pb.ExportResponse:
    """Where the task stands: the last message of a stream. ``link`` goes with a completed task."""
    error = error_of(task)
    return pb.ExportResponse(
        task_id=task.task_id,
        status=_status_of(task),
        oss_url=link.url if link else "",
        file_size_bytes=task.result_size,
        record_count=_record_count(task),
        progress_percent=progress_percent(task),
        checksum_sha256=task.result_sha256,
        crc64=task.result_crc64,
        error_code=error.code.value if error else "",
        error_message=error.detail if error else "",
        start_time=int(task.created_at),
        completion_time=int(task.finished_at),
        warnings=task.warnings,
        unchecked_end=unchecked_end,
    )


def failure_response(task_id: str, error: SluiceError) -> pb.ExportResponse:
    """What a stream says before the status that ends it, for clients that read messages and not statuses."""
    status = {
        ErrorCode.CANCELLED: pb.TASK_STATUS_CANCELLED,
        ErrorCode.EXPIRED: pb.TASK_STATUS_EXPIRED,
    }.get(error.code, pb.TASK_STATUS_FAILED)
    return pb.ExportResponse(task_id=task_id, status=status, error_code=error.code.value, error_message=error.said)


def status_response(
    task: Task, link: Link | None, *, now: float, stored: Iterable[tuple[int, int]] = ()
) -> pb.TaskStatusResponse:
    """The whole row. ``link`` goes with a completed task, ``stored`` with one whose stream was refused."""
    params = task.params
    refusal = refusal_of(task)
    error, attempt_error = error_of(task) or refusal, attempt_error_of(task)
    done = task.state is State.COMPLETED
    return pb.TaskStatusResponse(
        task_id=task.task_id,
        status=_status_of(task),
        format=WIRE_FORMATS[params.format] if params else pb.FORMAT_UNSPECIFIED,
        filename=filename_of(task) if params else "",
        records_processed=_record_count(task),
        progress_percent=progress_percent(task),
        oss_url=link.url if link else "",
        file_size_bytes=task.result_size if done else 0,
        error_message=error.detail if error else "",
        error_code=error.code.value if error else "",
        request_id=task.client_request_id,
        stored=[pb.SequenceRange(first=first, last=last) for first, last in stored],
        open_until=int(task.due_at) if refusal else 0,
        attempts=task.epoch,
        attempt_error_code=attempt_error.code.value if attempt_error else "",
        attempt_error_message=attempt_error.detail if attempt_error else "",
        start_time=int(task.created_at),
        completion_time=int(task.finished_at),
        estimated_time_remaining=eta_s(task, now) or 0,
        state=task.state.value,
        records_received=task.rows_received,
        batches_received=task.batches_received,
        checksum_sha256=task.result_sha256 if done else "",
        crc64=task.result_crc64 if done else "",
        expires_at=int(task.expires_at),
        warnings=task.warnings,
        sheets=[pb.SheetStatus(name=name, records=rows) for name, rows in task.rows_by_sheet().items()],
        consistency=params.pulled.consistency if params and params.pulled else "",
        moments=[pb.ReadMoment(at=at, records=rows) for at, rows in moments_of(task)],
    )


def link_response(link: Link) -> pb.DownloadLink:
    return pb.DownloadLink(url=link.url, expires_at=int(link.expires_at))


def dataset_export(task: Task, link: Link | None, *, now: float, watch_url: str, replayed: bool) -> pb.DatasetExport:
    """The export of a dataset. ``link`` goes with a completed one."""
    return pb.DatasetExport(export=status_response(task, link, now=now), watch_url=watch_url, replayed=replayed)


def dataset_message(view: DatasetView) -> pb.DatasetDescription:
    """What a user may ask of a dataset."""
    columns = [
        pb.DatasetColumn(name=one.name, label=one.label, data_type=_WIRE_TYPES[one.type], masked=one.masked)
        for one in view.columns
    ]
    return pb.DatasetDescription(
        name=view.name,
        columns=columns,
        selectable=view.selectable,
        date=view.date,
        filters=view.filters,
        direct_rows=view.direct_rows,
        waited_rows=view.waited_rows,
        rows_max=view.rows_max,
        ids_max=view.ids_max,
        formats=[WIRE_FORMATS[ExportFormat(name)] for name in view.formats],
    )


def _status_of(task: Task) -> pb.TaskStatus:
    """As ``status_of``; the contract's first word on an export is QUEUED, until a batch of it is stored."""
    if task.state is State.OPEN and not task.batches_received:
        return pb.TASK_STATUS_QUEUED
    return _STATUS[status_of(task)]


def _record_count(task: Task) -> int:
    """Rows in the file once there is one, until then the rows that arrived."""
    return task.result_rows if task.state is State.COMPLETED else task.rows_received
