"""Where an error becomes a status: how each code is answered over gRPC and HTTP, and the body that both share."""

from __future__ import annotations

from enum import Enum, auto
from traceback import clear_frames

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.ports.journal import Journal
from sluice.ports.store_errors import TENANT_SHARE, StoreError, StoreFull

PROBLEM_PATH = "/problems/"
"""Below it each code has a page, which the type of a problem names."""
RETRY_AFTER_S = 5
"""Hint for a retryable error that brings none of its own."""

_NOT_VALID = frozenset({400, 413, 415})
"""Statuses that say that the request itself was wrong."""


_RECORDED_WHERE_RAISED = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.RATE_LIMITED})


class GrpcStatus(Enum):
    """The statuses of gRPC that we answer with, under its names. gRPC's own would be loaded by who serves only HTTP."""

    ALREADY_EXISTS = auto()
    DATA_LOSS = auto()
    FAILED_PRECONDITION = auto()
    INTERNAL = auto()
    INVALID_ARGUMENT = auto()
    NOT_FOUND = auto()
    PERMISSION_DENIED = auto()
    RESOURCE_EXHAUSTED = auto()
    UNAUTHENTICATED = auto()
    UNAVAILABLE = auto()


_Code = GrpcStatus

ANSWERS: dict[ErrorCode, tuple[GrpcStatus, int]] = {
    ErrorCode.IDEMPOTENCY_KEY_REUSED: (_Code.ALREADY_EXISTS, 409),
    ErrorCode.TASK_NOT_FOUND: (_Code.NOT_FOUND, 404),
    ErrorCode.TASK_DELETED: (_Code.NOT_FOUND, 410),
    ErrorCode.SEQ_OUT_OF_RANGE: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.ROW_WIDTH_MISMATCH: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.INVALID_VALUE: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.INVALID_TEXT: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.CELL_TOO_LONG: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.BATCH_TOO_LARGE: (_Code.RESOURCE_EXHAUSTED, 413),
    ErrorCode.TOO_MANY_BATCHES: (_Code.RESOURCE_EXHAUSTED, 413),
    ErrorCode.TOO_MANY_ROWS: (_Code.RESOURCE_EXHAUSTED, 413),
    ErrorCode.TOO_MANY_COLUMNS: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.UNSUPPORTED_FORMAT: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.UNSUPPORTED_ENCODING: (_Code.INVALID_ARGUMENT, 415),
    ErrorCode.CHECKSUM_MISMATCH: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.BATCH_CONFLICT: (_Code.ALREADY_EXISTS, 409),
    ErrorCode.TASK_CLOSED: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.BATCHES_MISSING: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.BATCHES_EXTRA: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.TOTALS_MISMATCH: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.TOTALS_MISSING: (_Code.UNAVAILABLE, 408),
    ErrorCode.ALREADY_CLOSED: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.ALREADY_COMPLETED: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.NOT_READY: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.EXPIRED: (_Code.FAILED_PRECONDITION, 410),
    ErrorCode.CANCELLED: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.CHUNK_MISSING: (_Code.DATA_LOSS, 500),
    ErrorCode.CHUNK_CORRUPT: (_Code.DATA_LOSS, 500),
    ErrorCode.ROW_COUNT_MISMATCH: (_Code.DATA_LOSS, 500),
    ErrorCode.RESULT_VERIFY_FAILED: (_Code.DATA_LOSS, 500),
    ErrorCode.RESULT_TOO_LARGE: (_Code.RESOURCE_EXHAUSTED, 413),
    ErrorCode.RESULT_MISSING: (_Code.DATA_LOSS, 500),
    ErrorCode.RESULT_DAMAGED: (_Code.DATA_LOSS, 500),
    ErrorCode.TASK_DAMAGED: (_Code.DATA_LOSS, 500),
    ErrorCode.ATTEMPTS_EXHAUSTED: (_Code.INTERNAL, 500),
    ErrorCode.STORE_UNAVAILABLE: (_Code.UNAVAILABLE, 503),
    ErrorCode.STORAGE_FULL: (_Code.RESOURCE_EXHAUSTED, 507),
    ErrorCode.DATASET_NOT_FOUND: (_Code.NOT_FOUND, 404),
    ErrorCode.SOURCE_INVALID: (_Code.FAILED_PRECONDITION, 500),
    ErrorCode.SOURCE_UNAVAILABLE: (_Code.UNAVAILABLE, 503),
    ErrorCode.SOURCE_TOO_SLOW: (_Code.FAILED_PRECONDITION, 500),
    ErrorCode.TARGET_INVALID: (_Code.FAILED_PRECONDITION, 500),
    ErrorCode.TARGET_UNAVAILABLE: (_Code.UNAVAILABLE, 503),
    ErrorCode.TARGET_REFUSES: (_Code.FAILED_PRECONDITION, 422),
    ErrorCode.ROW_REFUSED: (_Code.FAILED_PRECONDITION, 422),
    ErrorCode.TOO_MANY_REFUSED: (_Code.FAILED_PRECONDITION, 422),
    ErrorCode.TOO_MANY_GROUPS: (_Code.FAILED_PRECONDITION, 422),
    ErrorCode.RUN_TOO_LONG: (_Code.FAILED_PRECONDITION, 422),
    ErrorCode.NO_FILE: (_Code.FAILED_PRECONDITION, 409),
    ErrorCode.JOB_NOT_FOUND: (_Code.NOT_FOUND, 404),
    ErrorCode.QUEUE_FULL: (_Code.RESOURCE_EXHAUSTED, 503),
    ErrorCode.QUOTA_EXCEEDED: (_Code.RESOURCE_EXHAUSTED, 429),
    ErrorCode.RATE_LIMITED: (_Code.RESOURCE_EXHAUSTED, 429),
    ErrorCode.SENDER_TOO_SLOW: (_Code.UNAVAILABLE, 408),
    ErrorCode.UNAUTHENTICATED: (_Code.UNAUTHENTICATED, 401),
    ErrorCode.PERMISSION_DENIED: (_Code.PERMISSION_DENIED, 403),
    ErrorCode.INVALID_REQUEST: (_Code.INVALID_ARGUMENT, 400),
    ErrorCode.INTERNAL: (_Code.INTERNAL, 500),
}


OTHERS_ROOM = (
    "What is left of the disk is for other tenants: this one has its share. It has room again once exports of its own "
    "are deleted or expire."
)


def to_sluice_error(error: Exception) -> SluiceError:
    """What a caller may know of any error. A store's own words, and those of a bug, stay inside."""
    if isinstance(error, SluiceError):
        return error
    if isinstance(error, StoreError):
        is_share = isinstance(error, StoreFull) and error.code == TENANT_SHARE
        return SluiceError(ErrorCode(error.code_shown), OTHERS_ROOM if is_share else "")
    return SluiceError(ErrorCode.INTERNAL)


def forget_frames(error: BaseException) -> None:
    """Let go of what the functions that raised ``error`` still hold: bodies, rows, batches.

    Called when ``error`` is answered. A future keeps its exception, whose
    traceback keeps the frame that awaited the future: without this the
    megabytes of a refused request wait for the collector of cycles, which
    counts objects and not their size.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        clear_frames(one.__traceback__)
        chain += (one.__cause__, one.__context__)


def record_error(error: Exception, journal: Journal) -> SluiceError:
    """Record what the service should know of an error that was raised, and return what the caller may know."""
    known = to_sluice_error(error)
    if not isinstance(error, SluiceError):
        journal.record(Event.SYSTEM_ERROR, error=error)
    elif http_status(known) in _NOT_VALID:
        journal.record(Event.VALIDATION_ERROR, error_code=known.code.value)
    elif known.code not in _RECORDED_WHERE_RAISED:
        journal.record(Event.REQUEST_REFUSED, error_code=known.code.value, error=known)
    return known


def record_rejected_batch(error: SluiceError, ref: TaskRef, sequence: int, journal: Journal) -> None:
    """Record the refusal of a batch, instead of that of an invalid request; an error about a row names the batch."""
    if "row" in error.facts:
        error.facts = {**error.facts, "batch": sequence}
    journal.record(
        Event.BATCH_REJECTED,
        task_id=ref.task_id,
        tenant=ref.tenant,
        sequence=sequence,
        error_code=error.code.value,
    )


def grpc_status(error: SluiceError) -> GrpcStatus:
    return ANSWERS[error.code][0]


def http_status(error: SluiceError) -> int:
    return ANSWERS[error.code][1]


def retry_after_s(error: SluiceError) -> int | None:
    """Whole seconds after which a retry makes sense; None when it never does."""
    if not error.retryable:
        return None
    hint = error.facts.get("retry_after_s", RETRY_AFTER_S)
    return max(1, round(hint)) if isinstance(hint, (int, float)) else RETRY_AFTER_S


def problem(error: SluiceError, *, request_id: str) -> dict[str, object]:
    """The body of an error answer (RFC 9457), the same facts in both APIs."""
    return {
        **error.shown,
        "type": f"{PROBLEM_PATH}{error.code}",
        "title": error.meaning.sentence,
        "status": http_status(error),
        "detail": error.said,
        "code": error.code.value,
        "who": error.meaning.who.value,
        "retryable": error.retryable,
        "request_id": request_id,
    }
