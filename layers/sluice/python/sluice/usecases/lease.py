"""Take, keep and give up the one attempt that may compose a task."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.task import Attempt, Guard, Phase, State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreError
from sluice.usecases.apply_transition import apply_transition

DOUBLINGS_MAX = 64
"""More would only be a larger number."""


class Fenced(Exception):
    """Another attempt, or a cancel, has taken the task: this one must not finish."""


@dataclass(slots=True)
class HeldAttempt:
    """One attempt and how far it is. The epoch fences it from all others."""

    ref: TaskRef
    epoch: int
    owner: str
    started_at: float
    begun_at: float
    """Monotonic, as is ``beat_at``: a wall clock that jumps must not end an attempt."""
    beat_at: float
    """When the last heartbeat was, heard or not."""
    rows_done: int = 0
    parts_done: int = 0
    phase: Phase = field(default=Phase.RENDERING)

    @property
    def guard(self) -> Guard:
        return Guard(state=State.COMPOSING, epoch=self.epoch)


def acquire_attempt(ports: Ports, task: Task) -> HeldAttempt | None:
    """Start the next attempt on a sealed task, or take over a lapsed one. None: somebody else was faster."""
    owner = ports.randomness.bytes(8).hex()
    epoch = task.epoch + 1
    now = ports.clock.now()
    is_mine = apply_transition(
        ports,
        task.ref,
        guard=Guard(state=task.state, epoch=task.epoch),
        target=State.COMPOSING,
        fields={
            "epoch": epoch,
            "owner": owner,
            "phase": Phase.RENDERING.value,
            "rows_done": 0,
            "parts_done": 0,
            "started_at": task.started_at or now,
            **_lease(ports, now),
        },
        is_mine=lambda row: row.epoch == epoch and row.owner == owner,
    )
    if not is_mine:
        return None
    begun_at = ports.clock.monotonic()
    attempt = HeldAttempt(task.ref, epoch, owner, started_at=now, begun_at=begun_at, beat_at=begun_at)
    _log(ports, attempt, ended_at=0)
    ports.journal.record(
        Event.ATTEMPT_STARTED,
        task_id=task.task_id,
        tenant=task.tenant,
        epoch=epoch,
        owner=owner,
        from_state=task.state.value,
    )
    return attempt


def keep_attempt(ports: Ports, attempt: HeldAttempt) -> None:
    """Extend the lease if a heartbeat is due.

    Raises ``Fenced`` when the task is no longer ours, and STORE_UNAVAILABLE
    when the attempt has taken longer than it may. A heartbeat that
    fails ends nothing: if another composer took the task, the next one tells.
    """
    if ports.clock.monotonic() - attempt.begun_at > ports.timings.attempt_max_s:
        raise SluiceError(ErrorCode.STORE_UNAVAILABLE, "the attempt took longer than it may")
    if ports.clock.monotonic() - attempt.beat_at < ports.timings.heartbeat_s:
        return
    try:
        beat_attempt(ports, attempt)
    except StoreError as error:
        attempt.beat_at = ports.clock.monotonic()
        ports.journal.record(Event.SYSTEM_ERROR, task_id=attempt.ref.task_id, error=error)


def beat_attempt(ports: Ports, attempt: HeldAttempt) -> None:
    """Extend the lease and show the progress now. Raises ``Fenced`` when the task is no longer ours."""
    fields: TaskFields = {
        "rows_done": attempt.rows_done,
        "parts_done": attempt.parts_done,
        "phase": attempt.phase.value,
        **_lease(ports, ports.clock.now()),
    }
    ours = apply_transition(
        ports,
        attempt.ref,
        guard=attempt.guard,
        target=State.COMPOSING,
        fields=fields,
        is_mine=lambda row: row.state is State.COMPOSING and row.epoch == attempt.epoch,
    )
    if not ours:
        raise Fenced
    attempt.beat_at = ports.clock.monotonic()


def release_attempt(ports: Ports, attempt: HeldAttempt, error: Exception) -> None:
    """Give the task back after a transient failure, to be tried again after a pause."""
    code = _code_of(error)
    released = apply_transition(
        ports,
        attempt.ref,
        guard=attempt.guard,
        target=State.SEALED,
        fields={
            "last_error_code": code,
            "last_error": _describe(error),
            "lease_until": 0,
            "due_at": ports.clock.now() + _backoff_s(ports, attempt.epoch),
        },
        is_mine=lambda row: row.state is State.SEALED and row.epoch == attempt.epoch,
    )
    _log(ports, attempt, ended_at=ports.clock.now(), outcome="released", error=error)
    if not released:
        raise Fenced
    ports.journal.record(
        Event.ATTEMPT_RELEASED,
        task_id=attempt.ref.task_id,
        tenant=attempt.ref.tenant,
        epoch=attempt.epoch,
        error_code=code,
        error=error,
    )


def fail_attempt(ports: Ports, attempt: HeldAttempt, error: SluiceError) -> None:
    """End the task for good: no other attempt could do better."""
    _log(ports, attempt, ended_at=ports.clock.now(), outcome="failed", error=error)
    if not fail_task(ports, attempt.ref, guard=attempt.guard, error=error):
        raise Fenced


def fail_task(ports: Ports, ref: TaskRef, *, guard: Guard, error: SluiceError) -> bool:
    """Move a task to FAILED with the reason. False: it was no longer as ``guard`` says."""
    now = ports.clock.now()
    failed = apply_transition(
        ports,
        ref,
        guard=guard,
        target=State.FAILED,
        fields={
            "last_error_code": error.code.value,
            "last_error": error.summary,
            "lease_until": 0,
            "finished_at": now,
            "expires_at": now + ports.timings.retention_s,
            "due_at": now,
        },
        is_mine=lambda row: row.state is State.FAILED,
    )
    if failed:
        ports.journal.record(
            Event.TASK_FAILED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            error_code=error.code.value,
            error=error,
            from_state=guard.state.value,
        )
    return failed


def end_attempt(ports: Ports, attempt: HeldAttempt, outcome: str) -> None:
    """Close the attempt's log entry; nothing depends on it."""
    _log(ports, attempt, ended_at=ports.clock.now(), outcome=outcome)


def _lease(ports: Ports, now: float) -> TaskFields:
    lease_until = now + ports.timings.lease_s
    return {"lease_until": lease_until, "due_at": lease_until + ports.timings.skew_s}


def _backoff_s(ports: Ports, epoch: int) -> float:
    timings = ports.timings
    return float(min(timings.backoff_s * 2.0 ** min(epoch - 1, DOUBLINGS_MAX), timings.backoff_max_s))


def _describe(error: Exception) -> str:
    """What the row may say of an error: our own words, never a vendor's text or a path."""
    return error.summary if isinstance(error, SluiceError) else type(error).__name__


def _log(
    ports: Ports,
    attempt: HeldAttempt,
    *,
    ended_at: float,
    outcome: str = "",
    error: Exception | None = None,
) -> None:
    entry = Attempt(
        epoch=attempt.epoch,
        owner=attempt.owner,
        started_at=attempt.started_at,
        ended_at=ended_at,
        outcome=outcome,
        error_code="" if error is None else _code_of(error),
        error="" if error is None else _describe(error),
        rows_done=attempt.rows_done,
        parts_done=attempt.parts_done,
    )
    try:
        ports.tasks.log_attempt(attempt.ref, entry)
    except StoreError as failure:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=attempt.ref.task_id, error=failure)


def _code_of(error: Exception) -> str:
    if isinstance(error, SluiceError):
        return error.code.value
    return (ErrorCode.STORE_UNAVAILABLE if isinstance(error, StoreError) else ErrorCode.INTERNAL).value
