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
    TOTALS_MISSING = "TOTALS_MISSING"
    ALREADY_CLOSED = "ALREADY_CLOSED"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"
    NOT_READY = "NOT_READY"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    CHUNK_MISSING = "CHUNK_MISSING"
    CHUNK_CORRUPT = "CHUNK_CORRUPT"
    ROW_COUNT_MISMATCH = "ROW_COUNT_MISMATCH"
    RESULT_VERIFY_FAILED = "RESULT_VERIFY_FAILED"
    RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
    RESULT_MISSING = "RESULT_MISSING"
    RESULT_DAMAGED = "RESULT_DAMAGED"
    TASK_DAMAGED = "TASK_DAMAGED"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    STORAGE_FULL = "STORAGE_FULL"
    DATASET_NOT_FOUND = "DATASET_NOT_FOUND"
    SOURCE_INVALID = "SOURCE_INVALID"
    SOURCE_UNAVAILABLE = "SOURCE_UNAVAILABLE"
    SOURCE_TOO_SLOW = "SOURCE_TOO_SLOW"
    TARGET_INVALID = "TARGET_INVALID"
    TARGET_UNAVAILABLE = "TARGET_UNAVAILABLE"
    TARGET_REFUSES = "TARGET_REFUSES"
    ROW_REFUSED = "ROW_REFUSED"
    TOO_MANY_REFUSED = "TOO_MANY_REFUSED"
    TOO_MANY_GROUPS = "TOO_MANY_GROUPS"
    RUN_TOO_LONG = "RUN_TOO_LONG"
    NO_FILE = "NO_FILE"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
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
    ErrorCode.TASK_DELETED: _client(
        "The export was deleted; its key is not free again yet: take another.",
        Level.INFO,
    ),
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
    ErrorCode.TOTALS_MISMATCH: _client("The rows received are not as many as the sender counted or expected."),
    ErrorCode.TOTALS_MISSING: _wait(
        "The stream ended without the totals that were to follow; send the rest and the totals again.", Actor.CLIENT
    ),
    ErrorCode.ALREADY_CLOSED: _client("The task was closed before with other totals."),
    ErrorCode.ALREADY_COMPLETED: _client("The file is complete; delete it instead of cancelling.", Level.INFO),
    ErrorCode.NOT_READY: _wait("The file is not complete yet.", Actor.CLIENT, Level.DEBUG),
    ErrorCode.EXPIRED: _client("The file or the link is past its time.", Level.INFO),
    ErrorCode.CANCELLED: _client("The task was cancelled.", Level.INFO),
    ErrorCode.CHUNK_MISSING: _operator("A stored batch is gone from the object store."),
    ErrorCode.CHUNK_CORRUPT: _operator("A stored batch no longer has the content that was acknowledged."),
    ErrorCode.ROW_COUNT_MISMATCH: _operator("The writer did not write as many rows as were sealed."),
    ErrorCode.RESULT_VERIFY_FAILED: _operator("The stored file does not have the size or checksum that was written."),
    ErrorCode.RESULT_TOO_LARGE: _client(
        "The file would be larger than the service allows; send its rows as several exports."
    ),
    ErrorCode.RESULT_MISSING: _operator("The finished file is gone from the object store."),
    ErrorCode.RESULT_DAMAGED: _operator("The finished file no longer has the bytes that were verified."),
    ErrorCode.TASK_DAMAGED: _operator("The task's record cannot be read: it is damaged, or from a newer release."),
    ErrorCode.ATTEMPTS_EXHAUSTED: _operator("Every attempt to compose the file failed."),
    ErrorCode.STORE_UNAVAILABLE: _wait("A store did not answer in time.", Actor.PLATFORM, Level.ERROR),
    ErrorCode.STORAGE_FULL: _wait(
        "The service has no room for more; its operator must make some.", Actor.OPERATOR, Level.ERROR
    ),
    ErrorCode.DATASET_NOT_FOUND: _client("There is no such dataset for this user.", Level.INFO),
    ErrorCode.SOURCE_INVALID: _operator("The table cannot be read as its dataset defines it."),
    ErrorCode.SOURCE_UNAVAILABLE: _wait("The database that has the table did not answer.", Actor.OPERATOR, Level.ERROR),
    ErrorCode.SOURCE_TOO_SLOW: _operator("The table was not read within the time that one statement may take."),
    ErrorCode.TARGET_INVALID: _operator("The rows cannot be loaded into the table as the job defines it."),
    ErrorCode.TARGET_UNAVAILABLE: _wait(
        "The database that the rows go to did not answer.", Actor.OPERATOR, Level.ERROR
    ),
    ErrorCode.TARGET_REFUSES: _client("The table does not take some of the rows as they are."),
    ErrorCode.ROW_REFUSED: _client("A row cannot be made what a step of the job says."),
    ErrorCode.TOO_MANY_REFUSED: _client("More rows were refused than on_error of the job allows."),
    ErrorCode.TOO_MANY_GROUPS: _client("A step of the job has more groups of rows than fit in memory."),
    ErrorCode.RUN_TOO_LONG: _client("The rows of a run were not read within the time that its job allows."),
    ErrorCode.NO_FILE: _client("This task becomes no file: its rows go to the outputs of a job, or into a table."),
    ErrorCode.JOB_NOT_FOUND: _client("There is no such job.", Level.INFO),
    ErrorCode.QUEUE_FULL: _wait("Too many exports are waiting; try again later.", Actor.CLIENT),
    ErrorCode.QUOTA_EXCEEDED: _wait("The tenant has as many open exports, or renders of one, as it may.", Actor.CLIENT),
    ErrorCode.RATE_LIMITED: _wait("Too many requests in a short time.", Actor.CLIENT, Level.DEBUG),
    ErrorCode.SENDER_TOO_SLOW: _wait("The request did not arrive in time; send it again.", Actor.CLIENT),
    ErrorCode.UNAUTHENTICATED: _client("No valid credential was sent."),
    ErrorCode.PERMISSION_DENIED: _client("The credential may not do this."),
    ErrorCode.INVALID_REQUEST: _client("The request is not well-formed."),
    ErrorCode.INTERNAL: Meaning(
        "The service failed in a way it did not foresee.", Actor.OPERATOR, retryable=True, level=Level.ERROR
    ),
}


MORE: dict[ErrorCode, str] = {
    ErrorCode.INVALID_VALUE: (
        "The facts name the row, the column, what it accepts and the option that lets the value through: on_invalid "
        '"text" keeps it as text, "null" leaves its cell empty; both count it. Numbers are written 12.50, -3 or '
        "1.2e9; dates 2025-03-14, perhaps with a time and an offset, 2025-03-14T09:26:53+08:00; booleans true/false, "
        "1/0, yes/no, y/n, t/f, on/off in any case, or the column's own pair. The reason form: the column's type "
        "was detected, and this value is written otherwise than the first ones were; declare the column."
    ),
    ErrorCode.INVALID_TEXT: (
        "Input is UTF-8 unless another encoding is named (sluice export --encoding). Where the output's encoding "
        'lacks a character, on_unencodable "replace" writes a question mark and counts it.'
    ),
    ErrorCode.CELL_TOO_LONG: 'The option on_too_long "cut" cuts such a text between two characters and counts it.',
    ErrorCode.ROW_WIDTH_MISMATCH: (
        "The facts have the cells of the row and the columns of the table. In CSV a delimiter that is not the file's, "
        "or one in text without quotes, gives such rows."
    ),
    ErrorCode.UNSUPPORTED_ENCODING: (
        "Tables are CSV, JSON Lines, a JSON array or protobuf, as text in UTF-8, perhaps packed by gzip. "
        "The fact found says what was sent instead, where it is known."
    ),
    ErrorCode.RESULT_TOO_LARGE: (
        "It is found while the file is written, once so many bytes of it are there. Other formats of the same rows may "
        "be smaller: JSON Lines repeats each column's name in each row and writes a control character as six bytes. "
        "How large a file may be is the operator's setting performance.max_result_bytes."
    ),
    ErrorCode.STORAGE_FULL: (
        "Less than storage.min_free_bytes is free for batches, or twice that for files. A closed export whose file has "
        "no room waits: sluice task show says how many bytes it needs, and it is begun again once they are free."
    ),
    ErrorCode.SOURCE_INVALID: (
        "What does not fit is in the service's log; sluice job run and sluice dataset check say it: a column or a "
        "table that is gone, a key that is not unique, a right that the connection's user lacks."
    ),
    ErrorCode.TARGET_INVALID: (
        "What does not fit is in the service's log, and sluice job run says it: a column or a table that is not "
        "there, a key without a unique index, a right that the connection's user lacks."
    ),
    ErrorCode.TARGET_REFUSES: (
        "The facts name the batch and the row in it. A step of the job can make such a value another, or filter its "
        "row out."
    ),
    ErrorCode.ROW_REFUSED: (
        "The facts name the row, the column and the reason. on_error: {rows: divert} puts such rows into a file of "
        "their own, with the reason, and goes on."
    ),
    ErrorCode.SOURCE_TOO_SLOW: (
        "An export ends so once several attempts (concurrency.attempts_max) read no further. Raise statement_timeout "
        "in the connection, or set consistency: split or key in the dataset, so that an attempt goes on where the "
        "one before ended."
    ),
    ErrorCode.QUOTA_EXCEEDED: (
        "The facts name the bound. open_tasks_max: close or cancel exports, or wait until they are composed. "
        "renders_max: delete renders of that export, or wait until they expire. Both are settings of the operator, "
        "concurrency.open_tasks_max and concurrency.renders_max."
    ),
    ErrorCode.TOTALS_MISMATCH: (
        "rows_closed is what the close said, rows_expected what the open declared (expected_rows). An export that was "
        "opened with a wrong number is opened again under another key; leave a number out that is only a guess."
    ),
    ErrorCode.TOTALS_MISSING: (
        "The metadata said totals_follow, and the stream ended without a close message: its sender died, or something "
        "between lost it. The export is open and keeps its batches; the same stream under the same request_id goes on."
    ),
    ErrorCode.BATCHES_MISSING: "GET /v1/exports/{task_id}/batches has the sequences that are stored.",
}
"""What else a person wants to know of a code."""

NAME_CHARS_MAX = 64
"""How much of a column's name a sentence has."""


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
    def shown(self) -> dict[str, object]:
        """The facts, with what a cell may be instead and the option that lets it through."""
        return {**self.facts, **_way_out(self.code, self.facts)}

    @property
    def said(self) -> str:
        """One sentence for who reads no facts: the place, the detail, what is accepted, the option."""
        place, way_out = _place(self.facts), _way_out(self.code, self.facts)
        accepted = f" Accepted: {way_out['accepted']}." if "accepted" in way_out else ""
        option = f" Option {way_out['option']}." if "option" in way_out else ""
        return f"{place}: {self.detail}{accepted}{option}" if place else f"{self.detail}{accepted}{option}"

    @property
    def summary(self) -> str:
        """The detail with the facts, for a row that keeps one line of text."""
        facts = ", ".join(f"{name}: {value}" for name, value in self.facts.items())
        return f"{self.detail} ({facts})" if facts else self.detail

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.code, self.detail, self.facts)


def _place(facts: dict[str, object]) -> str:
    """Where it is: ``Row 2018 (line 2019; row 18 of batch 3), column "amount"``."""
    row, column = facts.get("row"), facts.get("column")
    if not isinstance(row, int):
        return ""
    more = [f"line {facts['line']}"] if "line" in facts else []
    if "batch" in facts:
        in_batch = f"row {facts['batch_row']} of batch" if "batch_row" in facts else "batch"
        more.append(f"{in_batch} {facts['batch']}")
    place = f"Row {row} ({'; '.join(more)})" if more else f"Row {row}"
    return f'{place}, column "{column[:NAME_CHARS_MAX]}"' if isinstance(column, str) else place


_DATES = "a date such as 2025-03-14, perhaps with a time and an offset: 2025-03-14T09:26:53+08:00"
_ACCEPTED = {
    "number": "a number such as 12.50, -3 or 1.2e9, with a point, without a currency or a separator of thousands",
    "date": _DATES,
    "datetime": _DATES,
    "boolean": "true or false, 1 or 0, yes or no, y or n, t or f, on or off, or the column's own pair",
}
_OPTIONS = {
    ErrorCode.INVALID_VALUE: 'on_invalid: "text" keeps such a value as text, "null" leaves its cell empty',
    ErrorCode.CELL_TOO_LONG: 'on_too_long: "cut" cuts such a text',
}


def _way_out(code: ErrorCode, facts: dict[str, object]) -> dict[str, object]:
    """Of an error about a cell: the forms that its column accepts, and the option that lets the value through."""
    if "column" not in facts:
        return {}
    found: dict[str, object] = {}
    kind, reason = facts.get("column_type"), facts.get("reason")
    if code is ErrorCode.INVALID_VALUE and isinstance(kind, str) and kind in _ACCEPTED and reason is None:
        found["accepted"] = _ACCEPTED[kind]
    if reason == "unencodable":
        found["option"] = 'on_unencodable: "replace" writes a question mark'
    elif code in _OPTIONS and (code is not ErrorCode.INVALID_VALUE or kind):
        found["option"] = _OPTIONS[code]
    return found


def _rebuild(code: ErrorCode, detail: str, facts: dict[str, object]) -> SluiceError:
    return SluiceError(code, detail, **facts)
