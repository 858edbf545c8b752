"""Take, keep and give up a lease: the right of one worker to work on a row. For any kind of work."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Generic, TypeVar

from sluice.domain import lifecycle
from sluice.domain.attempts import Failure, Progress, WorkKind
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Guard, Transition
from sluice.domain.reading import dataset_facts
from sluice.domain.task import Attempt, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown, StoreError, StoreRefused
from sluice.usecases.apply_transition import apply_transition

P = TypeVar("P", bound=Progress)
Done = TypeVar("Done")
_CODE = re.compile(r"[A-Za-z0-9_.]{1,64}")
"""What a store's code is; other text stays out of the row."""


class Outcome(StrEnum):
    """How a call to a worker ended; all of these are handled, and none needs a retry by the caller."""

    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"
    HANDED_OVER = "handed_over"
    FENCED = "fenced"
    UNKNOWN = "unknown"
    DROPPED = "dropped"
    BUSY = "busy"
    POSTPONED = "postponed"
    NO_ROOM = "no_room"


class Fenced(Exception):
    """Another attempt, or a cancel, has taken the row: this attempt must not end it."""


@dataclass(slots=True)
class Lease(Generic[P]):
    """One attempt and how far it is. The epoch fences it from all others."""

    kind: WorkKind[P]
    ref: TaskRef
    epoch: int
    owner: str
    started_at: float
    begun_at: float
    """Monotonic, as is ``beat_at``: a wall clock that jumps must not end an attempt."""
    beat_at: float
    """When the last heartbeat was, answered or not."""
    progress: P
    moved_at: float
    """When something of the work moved last, monotonic."""
    moved_to: TaskFields
    """How far it was then."""
    strikes: int = 0
    """Attempts before this one that count against the task."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the entry of the task's end says besides: whose rows of which dataset they are."""

    @property
    def guard(self) -> Guard:
        return Guard(state=self.kind.running, epoch=self.epoch)


def ports_for(ports: Ports, task: Task | None) -> Ports:
    """The ports with the timings of the task, where it has some of its own."""
    retry = task.params.retry if task is not None and task.params is not None else None
    return replace(ports, timings=retry.applied(ports.timings)) if retry is not None else ports


def acquire(ports: Ports, kind: WorkKind[P], task: Task, *, owner: str = "") -> Lease[P] | None:
    """Begin the next attempt on a row that waits, or take over one whose lease lapsed. None: another was faster.

    ``owner`` names the attempt, where the process that started the worker has to know it; 16 hex digits, never twice.
    """
    owner = owner or ports.randomness.bytes(8).hex()
    now = ports.clock.now()
    if not apply_transition(
        ports, task.ref, lifecycle.acquire(kind, task, owner=owner, now=now, timings=ports.timings)
    ):
        return None
    begun_at, progress = ports.clock.monotonic(), kind.begin()
    lease = Lease(
        kind,
        task.ref,
        task.epoch + 1,
        owner,
        started_at=now,
        begun_at=begun_at,
        beat_at=begun_at,
        progress=progress,
        moved_at=begun_at,
        moved_to=progress.columns(),
        strikes=task.strikes,
        facts=dataset_facts(task),
    )
    _log(ports, lease)
    if not task.started_at:
        ports.journal.record(Event.TASK_STARTED, task_id=task.task_id, tenant=task.tenant)
    ports.journal.record(
        Event.ATTEMPT_STARTED,
        task_id=task.task_id,
        tenant=task.tenant,
        epoch=lease.epoch,
        owner=owner,
        from_state=task.state.value,
    )
    return lease


def renew_if_due(ports: Ports, lease: Lease[P], *, moves: bool = False) -> None:
    """Extend the lease if a heartbeat is due.

    Raises ``Fenced`` when the row is no longer ours, and STORE_UNAVAILABLE
    when nothing of the work moved for longer than it may: neither the progress,
    nor what the caller says ``moves``. However long it takes, work that moves
    is not begun again. A heartbeat that fails ends nothing: if another worker
    took the row, the next heartbeat finds out.
    """
    now, timings = ports.clock.monotonic(), ports.timings
    if now - lease.moved_at > timings.attempt_max_s:
        detail = "nothing of the file moved for longer than performance.upload_timeout_s"
        raise SluiceError(ErrorCode.STORE_UNAVAILABLE, detail)
    if timings.attempt_total_s and now - lease.begun_at > timings.attempt_total_s:
        raise SluiceError(ErrorCode.STORE_UNAVAILABLE, "the time that the platform gives an attempt is over")
    shown = lease.progress.columns()
    if moves or shown != lease.moved_to:
        lease.moved_at, lease.moved_to = now, shown
    if ports.clock.monotonic() - lease.beat_at < ports.timings.heartbeat_s:
        return
    try:
        heartbeat(ports, lease)
    except StoreError as error:
        lease.beat_at = ports.clock.monotonic()
        ports.journal.record(Event.SYSTEM_ERROR, task_id=lease.ref.task_id, error=error)


def heartbeat(ports: Ports, lease: Lease[P]) -> None:
    """Extend the lease and show the progress now. Raises ``Fenced`` when the row is no longer ours."""
    step = lifecycle.heartbeat(lease.kind, lease.epoch, lease.progress, now=ports.clock.now(), timings=ports.timings)
    if not apply_transition(ports, lease.ref, step):
        raise Fenced
    lease.beat_at = ports.clock.monotonic()


def release(ports: Ports, lease: Lease[P], error: Exception) -> None:
    """Give the row back after a transient failure, to be tried again after a pause."""
    failure = _failure(error)
    step = lifecycle.release(
        lease.kind,
        lease.epoch,
        failure,
        strikes=lease.strikes,
        now=ports.clock.now(),
        timings=ports.timings,
        kept=lease.progress.kept(),
    )
    end(ports, lease, step, outcome="released", failure=failure)
    ports.journal.record(
        Event.ATTEMPT_RELEASED,
        task_id=lease.ref.task_id,
        tenant=lease.ref.tenant,
        epoch=lease.epoch,
        error_code=failure.code,
        error=error,
        **lease.progress.kept(),
    )


def fail(ports: Ports, lease: Lease[P], error: SluiceError) -> None:
    """End the task for good: no other attempt could do better."""
    if not fail_task(ports, lease.ref, lease.guard, error, **lease.facts):
        raise Fenced
    log_end(ports, lease, outcome="failed", failure=_failure(error))


def fail_task(ports: Ports, ref: TaskRef, guard: Guard, error: SluiceError, **facts: str) -> bool:
    """Move a task to FAILED with the reason, recorded with ``facts``. False: it was no longer as ``guard`` says."""
    step = lifecycle.fail(guard, _failure(error), now=ports.clock.now(), timings=ports.timings)
    if not apply_transition(ports, ref, step):
        return False
    ports.journal.record(
        Event.TASK_FAILED,
        task_id=ref.task_id,
        tenant=ref.tenant,
        error_code=error.code.value,
        error=error,
        from_state=guard.state.value,
        **facts,
    )
    return True


def fail_exhausted(ports: Ports, task: Task, **facts: object) -> Outcome:
    """Move a task to FAILED whose attempts are used up."""
    if task.last_error_code == ErrorCode.SOURCE_TOO_SLOW:  # which says what to do
        error = SluiceError(ErrorCode.SOURCE_TOO_SLOW, task.last_error, attempts=task.epoch)
        fail_task(ports, task.ref, Guard(state=task.state, epoch=task.epoch), error, **dataset_facts(task))
        return Outcome.FAILED
    last = task.last_error_code or "no word"
    if task.deaths:
        facts = {"deaths": task.deaths, "died_at": task.died_at, **facts}
    detail = f"all attempts ({task.epoch}) failed, the last with {last}"
    error = SluiceError(ErrorCode.ATTEMPTS_EXHAUSTED, detail, **facts)
    fail_task(ports, task.ref, Guard(state=task.state, epoch=task.epoch), error, **dataset_facts(task))
    return Outcome.FAILED


def run_attempt(
    ports: Ports,
    lease: Lease[P],
    work: Callable[[], Done],
    finish: Callable[[Done], object],
    *,
    transient: Collection[ErrorCode],
) -> tuple[Outcome, Done | None]:
    """Do the work of an attempt, and take its last step whatever comes of it.

    An error of the work with a code that is not ``transient`` ends the task for
    good; any other gives it back, and is raised if it was not foreseen. The
    outer ladder is for the last step too, ``finish`` included: the row may be
    another's by then, or give no answer. Gives what was done, if it was.
    """
    try:
        try:
            done = work()
        except Fenced:
            raise
        except Exception as error:
            if isinstance(error, SluiceError) and error.code not in transient:
                fail(ports, lease, error)
                return Outcome.FAILED, None
            release(ports, lease, error)
            if isinstance(error, SluiceError | StoreError):
                return Outcome.RELEASED, None
            raise
        finish(done)
    except Fenced:
        log_end(ports, lease, outcome=Outcome.FENCED.value)
        ports.journal.record(
            Event.ATTEMPT_FENCED, task_id=lease.ref.task_id, tenant=lease.ref.tenant, epoch=lease.epoch
        )
        return Outcome.FENCED, None
    except OutcomeUnknown:
        log_end(ports, lease, outcome=Outcome.UNKNOWN.value)
        return Outcome.UNKNOWN, None
    return Outcome.COMPLETED, done


def end(ports: Ports, lease: Lease[P], step: Transition, *, outcome: str, failure: Failure | None = None) -> None:
    """Take the attempt's last step and log how it ended. Raises ``Fenced`` when the row is no longer ours."""
    if not apply_transition(ports, lease.ref, step):
        raise Fenced
    log_end(ports, lease, outcome=outcome, failure=failure)


def log_end(ports: Ports, lease: Lease[P], *, outcome: str, failure: Failure | None = None) -> None:
    """Close the attempt's log entry; nothing depends on it."""
    _log(ports, lease, ended_at=ports.clock.now(), outcome=outcome, failure=failure)


def _log(
    ports: Ports, lease: Lease[P], *, ended_at: float = 0, outcome: str = "", failure: Failure | None = None
) -> None:
    shown = lease.progress.columns()
    entry = Attempt(
        epoch=lease.epoch,
        owner=lease.owner,
        started_at=lease.started_at,
        ended_at=ended_at,
        outcome=outcome,
        error_code=failure.code if failure else "",
        error=failure.summary if failure else "",
        rows_done=shown.get("rows_done", 0),
        parts_done=shown.get("parts_done", 0),
    )
    try:
        ports.tasks.log_attempt(lease.ref, entry)
    except StoreError as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=lease.ref.task_id, error=error)


def _failure(error: Exception) -> Failure:
    """What the row may say of an error: our own words and a store's code, never a vendor's text or a path."""
    if isinstance(error, SluiceError):
        return Failure(error.code.value, error.summary)
    if isinstance(error, StoreRefused) and _CODE.fullmatch(error.code):
        return Failure(error.code_shown, f"{type(error).__name__}: {error.code}")
    code = ErrorCode(error.code_shown) if isinstance(error, StoreError) else ErrorCode.INTERNAL
    return Failure(code.value, type(error).__name__)
