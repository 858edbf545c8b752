"""Compose a sealed task's file: at most one attempt for each call."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.domain.task import Guard, State, Task
from sluice.ports.outside import Outside
from sluice.ports.store_errors import OutcomeUnknown, StoreError, StoreRefused
from sluice.usecases.advance_task import advance_task
from sluice.usecases.hold_attempt import (
    Fenced,
    HeldAttempt,
    acquire_attempt,
    end_attempt,
    fail_attempt,
    fail_task,
    release_attempt,
)
from sluice.usecases.load_manifest import load_manifest
from sluice.usecases.write_result import WrittenResult, write_result

POSTPONE_S = 15.0
ATTEMPTS_IN_OUTAGE_MAX = 1_000
"""Attempts of one task, whatever the pauses between them are set to."""

TRANSIENT_CODES = frozenset({ErrorCode.RESULT_VERIFY_FAILED, ErrorCode.STORE_UNAVAILABLE})
"""Codes that another attempt may not meet."""


_STORES_FAULT = frozenset({OutcomeUnknown.__name__, StoreRefused.__name__})
"""What a row says of an attempt that no other composer could have ended better."""


class Outcome(StrEnum):
    """How a call ended; all of these are handled, and none needs a retry by the caller."""

    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"
    FENCED = "fenced"
    UNKNOWN = "unknown"
    DROPPED = "dropped"
    BUSY = "busy"
    POSTPONED = "postponed"


def compose_export(outside: Outside, bell: ManifestRef) -> Outcome:
    """Answer the doorbell: take the task if it is free, write its file, and finish it.

    Repeatable, late, doubled and concurrent calls are harmless: one attempt
    holds the task at a time, each writes under its own key, and the file
    exists from the one update that names it. Raises only what it did not
    foresee, after giving the task back.
    """
    task = outside.tasks.read(bell.task)
    verdict = _judge(outside, task, bell)
    if verdict is not None or task is None:
        outcome = verdict or Outcome.DROPPED
        _note(outside, bell, Event.MANIFEST_DROPPED, outcome=outcome.value)
        return outcome
    if task.epoch >= outside.timings.attempts_max and not _in_outage(outside, task):
        return _give_up(outside, task)
    attempt = acquire_attempt(outside, task)
    if attempt is None:
        return Outcome.BUSY
    return _run(outside, attempt, task)


def _judge(outside: Outside, task: Task | None, bell: ManifestRef) -> Outcome | None:
    """Why the bell needs no work; None when it does."""
    if task is None or task.state not in {State.SEALED, State.COMPOSING} or task.man_sha != bell.sha:
        return Outcome.DROPPED
    now = outside.clock.now()
    if task.state is State.COMPOSING and task.lease_until + outside.timings.skew_s >= now:
        return Outcome.BUSY
    if task.state is State.SEALED and _over_share(outside, task):
        return Outcome.POSTPONED
    return None


def _over_share(outside: Outside, task: Task) -> bool:
    """Whether the tenant has its share of composers; its task then waits without losing an attempt."""
    share = outside.limits.tenant_composing_max
    if not share or outside.tasks.count(task.tenant, State.COMPOSING) < share:
        return False
    advance_task(
        outside,
        task.ref,
        guard=Guard(state=State.SEALED, epoch=task.epoch),
        target=State.SEALED,
        fields={"due_at": outside.clock.now() + POSTPONE_S},
        won=lambda row: row.rev > task.rev,
    )
    return True


def _in_outage(outside: Outside, task: Task) -> bool:
    """Whether the last attempt was given back because of a store, lately. One that died without a word was not."""
    if task.state is not State.SEALED or task.last_error not in _STORES_FAULT:
        return False
    return task.epoch < ATTEMPTS_IN_OUTAGE_MAX and outside.clock.now() < task.sealed_at + outside.timings.outage_s


def _give_up(outside: Outside, task: Task) -> Outcome:
    last = task.last_error_code or "no word"
    error = SluiceError(ErrorCode.ATTEMPTS_EXHAUSTED, f"all attempts ({task.epoch}) failed, the last with {last}")
    fail_task(outside, task.ref, guard=Guard(state=task.state, epoch=task.epoch), error=error)
    return Outcome.FAILED


def _run(outside: Outside, attempt: HeldAttempt, task: Task) -> Outcome:
    try:
        return _attempt(outside, attempt, task)
    except Fenced:
        end_attempt(outside, attempt, Outcome.FENCED.value)
        outside.journal.record(
            Event.ATTEMPT_FENCED, task_id=attempt.ref.task_id, tenant=attempt.ref.tenant, epoch=attempt.epoch
        )
        return Outcome.FENCED
    except OutcomeUnknown:
        end_attempt(outside, attempt, Outcome.UNKNOWN.value)
        return Outcome.UNKNOWN


def _attempt(outside: Outside, attempt: HeldAttempt, task: Task) -> Outcome:
    try:
        manifest = load_manifest(outside, task)
        result = write_result(outside, attempt, task, manifest)
    except SluiceError as error:
        if error.code in TRANSIENT_CODES:
            release_attempt(outside, attempt, error)
            return Outcome.RELEASED
        fail_attempt(outside, attempt, error)
        return Outcome.FAILED
    except StoreError as error:
        release_attempt(outside, attempt, error)
        return Outcome.RELEASED
    except Fenced:
        raise
    except Exception as error:
        release_attempt(outside, attempt, error)
        raise
    return _finish(outside, attempt, task, result)


def _finish(outside: Outside, attempt: HeldAttempt, task: Task, result: WrittenResult) -> Outcome:
    """Name the result in the row. The file exists from here."""
    now = outside.clock.now()
    finished = advance_task(
        outside,
        attempt.ref,
        guard=attempt.guard,
        target=State.COMPLETED,
        fields={
            "result_key": result.key,
            "result_size": result.size,
            "result_crc64": result.crc64,
            "result_sha256": result.sha256,
            "result_rows": result.rows,
            "warnings": msgspec.json.encode(result.warnings, order="sorted").decode(),
            "rows_done": result.rows,
            "parts_done": attempt.parts_done,
            "lease_until": 0,
            "finished_at": now,
            "expires_at": now + outside.timings.retention_s,
            "due_at": now,
        },
        won=lambda row: row.result_key == result.key,
    )
    if not finished:
        raise Fenced
    end_attempt(outside, attempt, Outcome.COMPLETED.value)
    outside.journal.record(
        Event.TASK_COMPLETED,
        task_id=task.task_id,
        tenant=task.tenant,
        format=task.read_params().format.value,
        rows=result.rows,
        bytes=result.size,
        epoch=attempt.epoch,
        duration_s=now - (task.sealed_at or attempt.started_at),
    )
    return Outcome.COMPLETED


def _note(outside: Outside, bell: ManifestRef, event: Event, **fields: object) -> None:
    outside.journal.record(event, task_id=bell.task.task_id, tenant=bell.task.tenant, **fields)
