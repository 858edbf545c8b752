"""The task as JSON, one form for every call that answers with it."""

from __future__ import annotations

import msgspec

from sluice.domain.errors import SluiceError
from sluice.domain.progress import eta_s, progress_percent, rows_expected, status_of
from sluice.domain.reading import moments_of
from sluice.domain.task import State, Task
from sluice.domain.task_errors import attempt_error_of, error_of, refusal_of
from sluice.domain.timestamps import iso_time
from sluice.tables.formats import filename_of


class ErrorView(msgspec.Struct, frozen=True):
    code: str
    message: str
    who: str
    retryable: bool


class RefusalView(msgspec.Struct, frozen=True):
    """Why the last stream of rows was refused before its close. The export is open: send what is missing."""

    code: str
    message: str
    """With the row and the column, where it is about one."""
    who: str
    retryable: bool
    stored: list[tuple[int, int]] | None
    """First and last of each run of batches that need not be sent again; null in lists and events."""
    open_until: str
    """When the export expires, unless batches come."""


class SheetView(msgspec.Struct, frozen=True):
    """A declared sheet; ``rows`` is null before the seal."""

    name: str
    rows: int | None


class MomentView(msgspec.Struct, frozen=True):
    """Rows that were read one after the other; ``at`` is when they were like this, by the clock of the source."""

    at: str | None
    rows: int


class ReadView(msgspec.Struct, frozen=True):
    """How the rows of a dataset were read. With ``snapshot`` and ``split`` those of a moment are as they were then."""

    consistency: str
    moments: list[MomentView]


class TaskView(msgspec.Struct, frozen=True):
    """What the HTTP API says of a task. Times are ISO 8601 in UTC, or null."""

    task_id: str
    state: str
    status: str
    format: str | None
    filename: str | None
    rows_expected: int | None
    """As announced at the open, else as closed."""
    rows_received: int
    rows_written: int
    sheets: list[SheetView]
    batches: int
    progress_percent: float
    """Of the way to the file; with `expected_rows`, receiving the rows is 75 of it, otherwise nothing."""
    eta_seconds: int | None
    file_size_bytes: int | None
    checksum_sha256: str | None
    crc64: str | None
    error: ErrorView | None
    """Why there is no file and never will be."""
    request_id: str | None
    """Of the request that opened it; the logs' ``session_id``."""
    refusal: RefusalView | None
    attempts: int
    """How often a composer began."""
    attempt_error: ErrorView | None
    """Why the last attempt failed, while the task is tried again."""
    created_at: str | None
    sealed_at: str | None
    finished_at: str | None
    expires_at: str | None
    download_path: str | None
    warnings: list[dict[str, object]]
    read: ReadView | None
    """Null for an export whose rows were sent."""


def view_task(task: Task, now: float, *, stored: list[tuple[int, int]] | None = None) -> TaskView:
    """Show a row; of a tombstone, what is left of it. ``stored`` goes with a refused one, if it was read."""
    params = task.params
    done = task.state is State.COMPLETED
    return TaskView(
        task_id=task.task_id,
        state=task.state.value,
        status=status_of(task).value,
        format=params.format.value if params else None,
        filename=filename_of(task) if params else None,
        rows_expected=rows_expected(task),
        rows_received=task.rows_received,
        rows_written=task.rows_done,
        sheets=[SheetView(name, rows) for name, rows in task.rows_by_sheet().items()],
        batches=task.batches_received,
        progress_percent=progress_percent(task),
        eta_seconds=eta_s(task, now),
        file_size_bytes=task.result_size if done else None,
        checksum_sha256=task.result_sha256 if done else None,
        crc64=task.result_crc64 if done else None,
        error=_view_error(error_of(task)),
        request_id=task.client_request_id or None,
        refusal=_view_refusal(task, stored),
        attempts=task.epoch,
        attempt_error=_view_error(attempt_error_of(task)),
        created_at=_iso(task.created_at),
        sealed_at=_iso(task.sealed_at),
        finished_at=_iso(task.finished_at),
        expires_at=_iso(task.expires_at),
        download_path=f"/v1/exports/{task.task_id}/file" if done else None,
        warnings=[{"kind": kind, "count": count} for kind, count in task.warnings.items()],
        read=_view_read(task),
    )


def _view_read(task: Task) -> ReadView | None:
    pulled = task.params.pulled if task.params else None
    if pulled is None:
        return None
    return ReadView(pulled.consistency, [MomentView(_iso(at), rows) for at, rows in moments_of(task)])


def _view_refusal(task: Task, stored: list[tuple[int, int]] | None) -> RefusalView | None:
    error = refusal_of(task)
    if error is None:
        return None
    return RefusalView(
        error.code.value, error.detail, error.meaning.who.value, error.retryable, stored, iso_time(task.due_at)
    )


def _view_error(error: SluiceError | None) -> ErrorView | None:
    if error is None:
        return None
    return ErrorView(error.code.value, error.detail, error.meaning.who.value, error.retryable)


def _iso(at: float) -> str | None:
    return iso_time(at) if at else None
