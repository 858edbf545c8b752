"""Every way a request can fail: one stable code each, with who must act."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sluice.domain.events import Level


class Actor(StrEnum):
    """Who has to do something before a retry can succeed."""

    CLIENT = "client"
    PLATFORM = "platform"
    OPERATOR = "operator"


class ErrorCode(StrEnum):
    """Stable for machines; never renamed, never reused."""

    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    TASK_DELETED = "TASK_DELETED"
    SEQ_OUT_OF_RANGE = "SEQ_OUT_OF_RANGE"
    ROW_WIDTH_MISMATCH = "ROW_WIDTH_MISMATCH"
    INVALID_VALUE = "INVALID_VALUE"
    INVALID_TEXT = "INVALID_TEXT"
    CELL_TOO_LONG = "CELL_TOO_LONG"
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE"
    TOO_MANY_BATCHES = "TOO_MANY_BATCHES"
    TOO_MANY_ROWS = "TOO_MANY_ROWS"
    TOO_MANY_COLUMNS = "TOO_MANY_COLUMNS"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    UNSUPPORTED_ENCODING = "UNSUPPORTED_ENCODING"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    BATCH_CONFLICT = "BATCH_CONFLICT"
    TASK_CLOSED = "TASK_CLOSED"
    BATCHES_MISSING = "BATCHES_MISSING"
    BATCHES_EXTRA = "BATCHES_EXTRA"
    TOTALS_MISMATCH = "TOTALS_MISMATCH"
    ALREADY_CLOSED = "ALREADY_CLOSED"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"
    NOT_READY = "NOT_READY"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    CHUNK_MISSING = "CHUNK_MISSING"
    CHUNK_CORRUPT = "CHUNK_CORRUPT"
    ROW_COUNT_MISMATCH = "ROW_COUNT_MISMATCH"
    RESULT_VERIFY_FAILED = "RESULT_VERIFY_FAILED"
    RESULT_MISSING = "RESULT_MISSING"
    RESULT_DAMAGED = "RESULT_DAMAGED"
    TASK_DAMAGED = "TASK_DAMAGED"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    QUEUE_FULL = "QUEUE_FULL"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    SENDER_TOO_SLOW = "SENDER_TOO_SLOW"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INVALID_REQUEST = "INVALID_REQUEST"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code says to a person, and what they should do."""

    sentence: str
    who: Actor
    retryable: bool
    level: Level
    """Of the line that a refusal with this code leaves."""


def _client(sentence: str, level: Level = Level.WARN) -> Meaning:
    return Meaning(sentence, Actor.CLIENT, retryable=False, level=level)


def _wait(sentence: str, who: Actor, level: Level = Level.WARN) -> Meaning:
    return Meaning(sentence, who, retryable=True, level=level)


def _operator(sentence: str) -> Meaning:
    return Meaning(sentence, Actor.OPERATOR, retryable=False, level=Level.ERROR)


MEANINGS: dict[ErrorCode, Meaning] = {
    ErrorCode.IDEMPOTENCY_KEY_REUSED: _client("The idempotency key was used before with other parameters."),
    ErrorCode.TASK_NOT_FOUND: _client("There is no such task for this credential.", Level.INFO),
    ErrorCode.TASK_DELETED: _client("The task was deleted; its key cannot be used again yet.", Level.INFO),
    ErrorCode.SEQ_OUT_OF_RANGE: _client("A batch sequence is a whole number from 1 up."),
    ErrorCode.ROW_WIDTH_MISMATCH: _client("A row does not have one cell for each declared column."),
    ErrorCode.INVALID_VALUE: _client("A value does not fit the type of its column."),
    ErrorCode.INVALID_TEXT: _client("Text is not valid Unicode, or the output encoding cannot hold it."),
    ErrorCode.CELL_TOO_LONG: _client("A text is longer than a cell of the format can hold."),
    ErrorCode.BATCH_TOO_LARGE: _client("The batch is over the size limit; send smaller batches."),
    ErrorCode.TOO_MANY_BATCHES: _client("A task holds at most the stated number of batches."),
    ErrorCode.TOO_MANY_ROWS: _client("The table has more rows than the task may hold."),
    ErrorCode.TOO_MANY_COLUMNS: _client("The table has more columns than the format can hold."),
    ErrorCode.UNSUPPORTED_FORMAT: _client("This file format is not offered."),
    ErrorCode.UNSUPPORTED_ENCODING: _client("This encoding or content type is not supported."),
    ErrorCode.CHECKSUM_MISMATCH: _client("The rows that arrived do not have the checksum that was sent."),
    ErrorCode.BATCH_CONFLICT: _client("This sequence is taken by a batch with other rows; the first stands."),
    ErrorCode.TASK_CLOSED: _client("The task takes no more batches."),
    ErrorCode.BATCHES_MISSING: _client("Some batches have not arrived; send them and close again."),
    ErrorCode.BATCHES_EXTRA: _client("There are batches beyond the number given at close."),
    ErrorCode.TOTALS_MISMATCH: _client("The rows received are not as many as given at close."),
    ErrorCode.ALREADY_CLOSED: _client("The task was closed before with other totals."),
    ErrorCode.ALREADY_COMPLETED: _client("The file is complete; delete it instead of cancelling.", Level.INFO),
    ErrorCode.NOT_READY: _wait("The file is not complete yet.", Actor.CLIENT, Level.DEBUG),
    ErrorCode.EXPIRED: _client("The file or the link is past its time.", Level.INFO),
    ErrorCode.CANCELLED: _client("The task was cancelled.", Level.INFO),
    ErrorCode.CHUNK_MISSING: _operator("A stored batch is gone from the object store."),
    ErrorCode.CHUNK_CORRUPT: _operator("A stored batch no longer has the content that was acknowledged."),
    ErrorCode.ROW_COUNT_MISMATCH: _operator("The writer did not write as many rows as were sealed."),
    ErrorCode.RESULT_VERIFY_FAILED: _operator("The stored file does not have the size or checksum that was written."),
    ErrorCode.RESULT_MISSING: _operator("The finished file is gone from the object store."),
    ErrorCode.RESULT_DAMAGED: _operator("The finished file no longer has the bytes that were verified."),
    ErrorCode.TASK_DAMAGED: _operator("The task's record cannot be read: it is damaged, or from a newer release."),
    ErrorCode.ATTEMPTS_EXHAUSTED: _operator("Every attempt to compose the file failed."),
    ErrorCode.STORE_UNAVAILABLE: _wait("A store did not answer in time.", Actor.PLATFORM, Level.ERROR),
    ErrorCode.QUEUE_FULL: _wait("Too many exports are waiting; try again later.", Actor.CLIENT),
    ErrorCode.QUOTA_EXCEEDED: _wait("The tenant has as many open exports as it may.", Actor.CLIENT),
    ErrorCode.RATE_LIMITED: _wait("Too many requests in a short time.", Actor.CLIENT, Level.DEBUG),
    ErrorCode.SENDER_TOO_SLOW: _wait("The request did not arrive in time; send it again.", Actor.CLIENT),
    ErrorCode.UNAUTHENTICATED: _client("No valid credential was sent."),
    ErrorCode.PERMISSION_DENIED: _client("The credential may not do this."),
    ErrorCode.INVALID_REQUEST: _client("The request is not well-formed."),
    ErrorCode.INTERNAL: Meaning(
        "The service failed in a way it did not foresee.", Actor.OPERATOR, retryable=True, level=Level.ERROR
    ),
}


class SluiceError(Exception):
    """The one error that leaves a use case.

    ``facts`` are plain JSON values (numbers, strings, lists) that help the
    receiver act; they never hold a cell's value, a key or a secret.
    """

    def __init__(self, code: ErrorCode, detail: str | None = None, /, **facts: object) -> None:
        self.code = code
        self.detail = detail or MEANINGS[code].sentence
        self.facts = facts
        super().__init__(f"{code}: {self.detail}")

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.code]

    @property
    def retryable(self) -> bool:
        return self.meaning.retryable

    @property
    def summary(self) -> str:
        """The detail with the facts, for a row that keeps one line of text."""
        facts = ", ".join(f"{name}: {value}" for name, value in self.facts.items())
        return f"{self.detail} ({facts})" if facts else self.detail

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.code, self.detail, self.facts)


def _rebuild(code: ErrorCode, detail: str, facts: dict[str, object]) -> SluiceError:
    return SluiceError(code, detail, **facts)
