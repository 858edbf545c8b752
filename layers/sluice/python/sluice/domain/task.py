"""The task row and its states. What may become of it, and how, is in ``lifecycle``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypedDict

import msgspec

from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Readings
from sluice.domain.timestamps import Time


class State(StrEnum):
    """Where a task is in its life."""

    OPEN = "open"
    WAITING = "waiting"
    """Its rows are to be read from a source."""
    READING = "reading"
    SEALED = "sealed"
    COMPOSING = "composing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})
LIVE = frozenset({State.WAITING, State.READING, State.SEALED, State.COMPOSING})
"""What a worker of ours moves on: the rest waits for its sender, or has ended."""


class Phase(StrEnum):
    """What a composing attempt is doing."""

    RENDERING = "rendering"
    UPLOADING = "uploading"


class TaskFields(TypedDict, total=False):
    """The columns a transition may set. ``rev`` is not among them: every write raises it by one."""

    state: State
    epoch: int
    params: ExportParams | None
    batches_received: int
    rows_received: int
    bytes_received: int
    first_sequence: int
    cursor: str
    read_from: float
    read_until: float
    read_at: float
    readings: Readings
    rows_filtered: int
    total_batches: int
    total_rows: int
    man_sha: str
    sheet_rows: tuple[int, ...]
    owner: str
    lease_until: float
    phase: str
    rows_done: int
    parts_done: int
    last_error_code: str
    last_error: str
    result_key: str
    result_size: int
    result_crc64: str
    result_sha256: str
    result_rows: int
    result_of: str
    content_sha: str
    shared_with: Mapping[str, float]
    warnings: Mapping[str, int]
    sealed_at: float
    started_at: float
    finished_at: float
    expires_at: float
    deleted_at: float
    due_at: float
    gc_round: int
    upkeep_failures: int
    upkeep_error: str
    strikes: int
    deaths: int
    died_at: str
    room_needed: int
    renders: Mapping[str, float]
    full_since: float


NO_ERROR: TaskFields = {"last_error_code": "", "last_error": ""}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The task row without its claims. Times are Unix seconds, 0 for "not yet"."""

    tenant: TenantId
    task_id: TaskId
    state: State
    rev: int = 0
    """Raised by one at every write to the row."""
    epoch: int = 0
    """Attempts started so far; the fencing token."""
    params_sha: str
    params: ExportParams | None = None
    """None once the task is a tombstone."""
    batches_received: int = 0
    rows_received: int = 0
    bytes_received: int = 0
    total_batches: int = 0
    total_rows: int = 0
    man_sha: str = ""
    sheet_rows: tuple[int, ...] = ()
    """Rows of each declared sheet, set by the seal; empty for a task of one table."""
    owner: str = ""
    lease_until: Time = 0
    phase: str = ""
    rows_done: int = 0
    parts_done: int = 0
    last_error_code: str = ""
    last_error: str = ""
    result_key: str = ""
    result_size: int = 0
    result_crc64: str = ""
    """Decimal, as OSS writes it."""
    result_sha256: str = ""
    result_rows: int = 0
    warnings: Mapping[str, int] = msgspec.field(default_factory=dict)
    """How often the writer met each kind of value that it had to change; set with the result."""
    created_at: Time
    last_batch_at: Time = 0
    sealed_at: Time = 0
    started_at: Time = 0
    finished_at: Time = 0
    expires_at: Time = 0
    deleted_at: Time = 0
    due_at: Time
    """When the sweeper should look next."""
    gc_round: int = 0
    client_request_id: str = ""
    trace_parent: str = ""
    upkeep_failures: int = 0
    """How often in a row the sweeper could not take the task's next step."""
    upkeep_error: str = ""
    """Why not, the last time: a code or the name of an error."""
    strikes: int = 0
    """Attempts that count against the task, as ``attempts`` has the rule."""
    deaths: int = 0
    """How often in a row an attempt ended without a report at the same place."""
    died_at: str = ""
    """That place: how far the last of them showed to be."""
    result_of: str = ""
    """The task in whose folder the result lies, where that is another one: its content was the same."""
    content_sha: str = ""
    """Digest under which other tasks of this content find the result; empty when none may have it."""
    shared_with: Mapping[str, float] = msgspec.field(default_factory=dict)
    """Tasks that were completed with this task's result, and until when each may need it."""
    room_needed: int = 0
    """Bytes that must be free for the file before another attempt begins; 0 until one met a full disk."""
    renders: Mapping[str, float] = msgspec.field(default_factory=dict)
    """Tasks that make other files of this task's chunks, and since when; ended ones go when their place is needed."""
    full_since: Time = 0
    """When an attempt first met a full disk."""
    first_sequence: int = 1
    """Of the reading of a source that is under way. Claims below it that are of no reading before are of one that was
    begun anew; their rows are not in the file."""
    cursor: str = ""
    """How far that reading is, as ``domain/pulled`` writes it; empty before its first row."""
    read_from: Time = 0
    """Of a source that was read: all rows are as they were at some moment between this and ``read_until``."""
    read_until: Time = 0
    read_at: Time = 0
    """When rows were as it reads them, by the source's clock; set with its first batch."""
    readings: Readings = Readings()
    rows_filtered: int = 0
    """Rows of a source that steps have left out, in all readings that count."""

    @property
    def ref(self) -> TaskRef:
        return TaskRef(self.tenant, self.task_id)

    def has_batch(self, sequence: int) -> bool:
        """Whether the rows of a batch with this sequence would be in the file: all, unless a reader began anew.

        Once it is no, it stays so.
        """
        return sequence >= self.first_sequence or self.readings.have(sequence)

    @property
    def live_params(self) -> ExportParams:
        """The parameters of a task that is no tombstone. Raises ValueError for one that is."""
        if self.params is None:
            raise ValueError("a tombstone has no parameters")
        return self.params

    def without_columns(self) -> Task:
        """What a caller may keep for long: all that is shown of a task. The columns of its tables may be megabytes."""
        if self.params is None:
            return self
        return msgspec.structs.replace(self, params=self.params.without_columns())

    def rows_by_sheet(self) -> dict[str, int | None]:
        """The rows of each declared sheet by its name, None before the seal; nothing for a task of one table."""
        sheets = self.params.sheets if self.params else ()
        return {sheet.name: rows for sheet, rows in zip(sheets, self.sheet_rows or (None,) * len(sheets), strict=True)}


class Result(NamedTuple):
    """A whole, verified object that no row names yet."""

    key: str
    size: int
    sha256: str
    crc64: str
    rows: int
    warnings: dict[str, int]
    content_sha: str = ""
    """As in the row."""
    owner: str = ""
    """The task in whose folder it lies, where that is another one."""
    expires_at: float = 0
    """When it ends at the latest, whenever it is named; 0: a retention after that."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the composer, as the attempt log keeps it. Never decides anything."""

    epoch: int
    owner: str
    started_at: Time
    ended_at: Time = 0
    outcome: str = ""
    """Empty when the attempt ended without a report."""
    error_code: str = ""
    error: str = ""
    rows_done: int = 0
    parts_done: int = 0
