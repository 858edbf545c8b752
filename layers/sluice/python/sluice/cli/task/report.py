"""What is known of a task, gathered from its row, its claims and its log of attempts."""

from __future__ import annotations

import msgspec

from sluice.cli.formatting import iso
from sluice.cli.task.steps import NextStep, next_step, since
from sluice.domain.errors import MEANINGS, ErrorCode, SluiceError
from sluice.domain.keys import TaskRef
from sluice.domain.manifest import Claim
from sluice.domain.progress import eta_s, progress_percent, status_of
from sluice.domain.task import Attempt, State, Task
from sluice.ports.bundle import Ports
from sluice.tables.formats import filename_of

SILENT = "ended without a word"
RUNNING = "running"


class BatchCount(msgspec.Struct, frozen=True):
    received: int
    total: int | None
    """Known once the task is sealed."""
    missing: list[int]
    """Gaps below the highest sequence received, as many as an answer lists."""
    missing_count: int


class UpkeepReport(msgspec.Struct, frozen=True):
    """The sweeper could not take the task's next step; ``next.due_at`` says when it tries again."""

    failures: int
    """In a row."""
    error: str


class ErrorReport(msgspec.Struct, frozen=True):
    code: str
    meaning: str
    detail: str
    who: str
    retryable: bool


class AttemptReport(msgspec.Struct, frozen=True):
    epoch: int
    owner: str
    started_at: str | None
    ended_at: str | None
    duration_s: float | None
    outcome: str
    rows_done: int
    parts_done: int
    error: ErrorReport | None


class ResultReport(msgspec.Struct, frozen=True):
    key: str
    bytes: int
    rows: int
    sha256: str
    crc64: str


class TaskReport(msgspec.Struct, frozen=True):
    task_id: str
    tenant: str
    state: str
    status: str
    since: str
    since_s: int
    """Seconds ago."""
    next: NextStep
    format: str | None
    filename: str | None
    columns: int | None
    source_task: str | None
    batches: BatchCount
    sheets: dict[str, int]
    """Rows received for each declared sheet."""
    rows_received: int
    rows_written: int
    progress_percent: float
    eta_seconds: int | None
    epoch: int
    phase: str | None
    owner: str | None
    lease_until: str | None
    lease_left_s: int | None
    """Below 0 when the lease has lapsed."""
    attempts: list[AttemptReport]
    upkeep: UpkeepReport | None
    error: ErrorReport | None
    result: ResultReport | None
    warnings: dict[str, int]
    created_at: str | None
    last_batch_at: str | None
    sealed_at: str | None
    finished_at: str | None
    expires_at: str | None
    deleted_at: str | None
    client_request_id: str | None


def report_task(ports: Ports, ref: TaskRef) -> TaskReport:
    """Gather the report as of now; changes nothing. Raises TASK_NOT_FOUND; deleted tasks are reported."""
    read = ports.tasks.read_claims(ref)
    if read is None:
        raise SluiceError(ErrorCode.TASK_NOT_FOUND)
    task, now = read.task, ports.clock.now()
    attempts = ports.tasks.read_attempts(ref)
    params = task.params
    came_at = since(task, attempts)
    composing, failed = task.state is State.COMPOSING, task.state is State.FAILED
    sheets = params.sheets if params else ()
    return TaskReport(
        task_id=task.task_id,
        tenant=task.tenant,
        state=task.state.value,
        status=status_of(task).value,
        since=iso(came_at),
        since_s=max(0, int(now - came_at)),
        next=next_step(task, now),
        format=params.format.value if params else None,
        filename=filename_of(task) if params else None,
        columns=params.column_count if params else None,
        source_task=(params.source_task or None) if params else None,
        batches=_count_batches(task, read.claims, listed_max=ports.limits.missing_listed_max),
        sheets={
            sheet.name: sum(claim.rows for claim in read.valid() if claim.sheet == index)
            for index, sheet in enumerate(sheets)
        },
        rows_received=task.rows_received,
        rows_written=task.rows_done,
        progress_percent=progress_percent(task),
        eta_seconds=eta_s(task, now),
        epoch=task.epoch,
        phase=task.phase if composing else None,
        owner=task.owner if composing else None,
        lease_until=_at(task.lease_until) if composing else None,
        lease_left_s=int(task.lease_until - now) if composing else None,
        attempts=[_report_attempt(task, attempt) for attempt in attempts],
        upkeep=UpkeepReport(task.upkeep_failures, task.upkeep_error) if task.upkeep_failures else None,
        # Why the task failed; of a live one, how its last attempt ended.
        error=_error(task.last_error_code, task.last_error) if failed or not task.state.terminal else None,
        result=_report_result(task),
        warnings=dict(task.warnings),
        created_at=_at(task.created_at),
        last_batch_at=_at(task.last_batch_at),
        sealed_at=_at(task.sealed_at),
        finished_at=_at(task.finished_at),
        expires_at=_at(task.expires_at),
        deleted_at=_at(task.deleted_at),
        client_request_id=task.client_request_id or None,
    )


def _count_batches(task: Task, claims: dict[int, Claim], *, listed_max: int) -> BatchCount:
    sealed = task.sealed_at > 0
    missing = [] if sealed else [number for number in range(1, max(claims, default=0)) if number not in claims]
    total = task.total_batches if sealed else None
    return BatchCount(task.batches_received, total, missing[:listed_max], len(missing))


def _report_attempt(task: Task, attempt: Attempt) -> AttemptReport:
    running = task.state is State.COMPOSING and attempt.epoch == task.epoch and not attempt.ended_at
    return AttemptReport(
        epoch=attempt.epoch,
        owner=attempt.owner,
        started_at=_at(attempt.started_at),
        ended_at=_at(attempt.ended_at),
        duration_s=round(attempt.ended_at - attempt.started_at, 3) if attempt.ended_at else None,
        outcome=attempt.outcome or (RUNNING if running else SILENT),
        rows_done=task.rows_done if running else attempt.rows_done,
        parts_done=task.parts_done if running else attempt.parts_done,
        error=_error(attempt.error_code, attempt.error),
    )


def _error(code: str, detail: str) -> ErrorReport | None:
    if not code:
        return None
    known = ErrorCode(code) if code in ErrorCode.__members__ else ErrorCode.INTERNAL
    meaning = MEANINGS[known]
    return ErrorReport(code, meaning.sentence, detail or meaning.sentence, meaning.who.value, meaning.retryable)


def _report_result(task: Task) -> ResultReport | None:
    if not task.result_key:
        return None
    return ResultReport(task.result_key, task.result_size, task.result_rows, task.result_sha256, task.result_crc64)


def _at(time: float) -> str | None:
    return iso(time) or None
