"""The task row, its states, and the one table of legal transitions."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypedDict

import msgspec

from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.params import ExportParams


class State(StrEnum):
    """Where a task is in its life."""

    OPEN = "open"
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


class Phase(StrEnum):
    """What a composing attempt is doing."""

    RENDERING = "rendering"
    UPLOADING = "uploading"


class Fence(NamedTuple):
    """Which columns besides ``state`` a transition's one conditional update must compare."""

    rev: bool = False
    epoch: bool = False


TRANSITIONS: dict[tuple[State | None, State], Fence] = {
    # open, and render again: the row must not exist
    (None, State.OPEN): Fence(),
    (None, State.SEALED): Fence(),
    # seal: rev unchanged since the read that built the manifest, so no acknowledged batch is left out
    (State.OPEN, State.SEALED): Fence(rev=True),
    # acquire, take over, heartbeat, release, finish: the epoch fences every older attempt
    (State.SEALED, State.COMPOSING): Fence(epoch=True),
    (State.COMPOSING, State.COMPOSING): Fence(epoch=True),
    (State.COMPOSING, State.SEALED): Fence(epoch=True),
    (State.COMPOSING, State.COMPLETED): Fence(epoch=True),
    # a poisoned, exhausted or impossible task
    (State.SEALED, State.FAILED): Fence(epoch=True),
    (State.COMPOSING, State.FAILED): Fence(epoch=True),
    # postpone a sealed task (tenant over its share, back-off)
    (State.SEALED, State.SEALED): Fence(epoch=True),
    # cancel
    (State.OPEN, State.CANCELLED): Fence(rev=True, epoch=True),
    (State.SEALED, State.CANCELLED): Fence(rev=True, epoch=True),
    (State.COMPOSING, State.CANCELLED): Fence(rev=True, epoch=True),
    # idle too long: rev, so that a batch that just arrived wins
    (State.OPEN, State.EXPIRED): Fence(rev=True),
    # retention over, or deleted by its owner
    (State.COMPLETED, State.EXPIRED): Fence(),
    # housekeeping of an ended task: garbage rounds, tombstone; the state stays
    (State.COMPLETED, State.COMPLETED): Fence(rev=True),
    (State.FAILED, State.FAILED): Fence(rev=True),
    (State.CANCELLED, State.CANCELLED): Fence(rev=True),
    (State.EXPIRED, State.EXPIRED): Fence(rev=True),
}
"""Every legal step. Anything else is a bug, and raises ``IllegalTransition``."""


class IllegalTransition(AssertionError):
    """A step that the table does not have, or without the fence it demands: always our own bug."""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What the row must still be for an update to happen. None is not compared."""

    state: State
    rev: int | None = None
    epoch: int | None = None


class TaskFields(TypedDict, total=False):
    """The columns a transition may set. ``rev`` is not among them: every write raises it by one."""

    state: State
    epoch: int
    params: str
    total_batches: int
    total_rows: int
    man_sha: str
    sheet_rows: str
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
    warnings: str
    sealed_at: float
    started_at: float
    finished_at: float
    expires_at: float
    deleted_at: float
    due_at: float
    gc_round: int


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
    params: str = ""
    """``ExportParams`` as JSON; empty once the task is a tombstone."""
    batches_received: int = 0
    rows_received: int = 0
    bytes_received: int = 0
    total_batches: int = 0
    total_rows: int = 0
    man_sha: str = ""
    sheet_rows: str = ""
    """``[rows, …]`` of each declared sheet as JSON, set by the seal; empty for a task of one table."""
    owner: str = ""
    lease_until: float = 0
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
    warnings: str = ""
    """``{"kind": count}`` as JSON, set with the result."""
    created_at: float
    last_batch_at: float = 0
    sealed_at: float = 0
    started_at: float = 0
    finished_at: float = 0
    expires_at: float = 0
    deleted_at: float = 0
    due_at: float
    """When the sweeper should look next."""
    gc_round: int = 0
    client_request_id: str = ""
    trace_parent: str = ""

    @property
    def ref(self) -> TaskRef:
        return TaskRef(self.tenant, self.task_id)

    def read_params(self) -> ExportParams:
        """The parameters; raises ValueError for a tombstone."""
        if not self.params:
            raise ValueError("a tombstone has no parameters")
        return ExportParams.decode(self.params)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the composer, as the attempt log keeps it. Never decides anything."""

    epoch: int
    owner: str
    started_at: float
    ended_at: float = 0
    outcome: str = ""
    """Empty when the attempt ended without a word."""
    error_code: str = ""
    error: str = ""
    rows_done: int = 0
    parts_done: int = 0


def check_transition(guard: Guard, target: State) -> None:
    """Raise ``IllegalTransition`` unless the table has the step and ``guard`` carries its fence."""
    fence = TRANSITIONS.get((guard.state, target))
    if fence is None:
        raise IllegalTransition(f"{guard.state} to {target}")
    if (fence.rev and guard.rev is None) or (fence.epoch and guard.epoch is None):
        raise IllegalTransition(f"{guard.state} to {target} without its fence")
