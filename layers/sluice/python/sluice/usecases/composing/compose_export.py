"""Compose a sealed task's file: at most one attempt for each call."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.domain.task import Guard, State, Task
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown, StoreError, StoreRefused
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing.load_manifest import load_manifest
from sluice.usecases.composing.write_result import WrittenResult, write_result
from sluice.usecases.lease import (
    Fenced,
    HeldAttempt,
    acquire_attempt,
    end_attempt,
    fail_attempt,
    fail_task,
    release_attempt,
)

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


def compose_export(ports: Ports, trigger: ManifestRef) -> Outcome:
    """Answer the doorbell: take the task if it is free, write its file, and finish it.

    Repeatable, late, doubled and concurrent calls are harmless: one attempt
    holds the task at a time, each writes under its own key, and the file
    exists from the one update that names it. Raises only what it did not
    foresee, after giving the task back.
    """
    task = ports.tasks.read(trigger.task)
    verdict = _judge(ports, task, trigger)
    if verdict is not None or task is None:
        outcome = verdict or Outcome.DROPPED
        _note(ports, trigger, Event.MANIFEST_DROPPED, outcome=outcome.value)
        return outcome
    if task.epoch >= ports.timings.attempts_max and not _in_outage(ports, task):
        return _give_up(ports, task)
    attempt = acquire_attempt(ports, task)
    if attempt is None:
        return Outcome.BUSY
    return _run(ports, attempt, task)


def _judge(ports: Ports, task: Task | None, trigger: ManifestRef) -> Outcome | None:
    """Why the bell needs no work; None when it does."""
    if task is None or task.state not in {State.SEALED, State.COMPOSING} or task.man_sha != trigger.sha:
        return Outcome.DROPPED
    now = ports.clock.now()
    if task.state is State.COMPOSING and task.lease_until + ports.timings.skew_s >= now:
        return Outcome.BUSY
    if task.state is State.SEALED and _over_share(ports, task):
        return Outcome.POSTPONED
    return None


def _over_share(ports: Ports, task: Task) -> bool:
    """Whether the tenant has its share of composers; its task then waits without losing an attempt."""
    share = ports.limits.tenant_composing_max
    if not share or ports.tasks.count(task.tenant, State.COMPOSING) < share:
        return False
    apply_transition(
        ports,
        task.ref,
        guard=Guard(state=State.SEALED, epoch=task.epoch),
        target=State.SEALED,
        fields={"due_at": ports.clock.now() + POSTPONE_S},
        is_mine=lambda row: row.rev > task.rev,
    )
    return True


def _in_outage(ports: Ports, task: Task) -> bool:
    """Whether the last attempt was given back because of a store, lately. One that died without a word was not."""
    if task.state is not State.SEALED or task.last_error not in _STORES_FAULT:
        return False
    return task.epoch < ATTEMPTS_IN_OUTAGE_MAX and ports.clock.now() < task.sealed_at + ports.timings.outage_s


def _give_up(ports: Ports, task: Task) -> Outcome:
    last = task.last_error_code or "no word"
    error = SluiceError(ErrorCode.ATTEMPTS_EXHAUSTED, f"all attempts ({task.epoch}) failed, the last with {last}")
    fail_task(ports, task.ref, guard=Guard(state=task.state, epoch=task.epoch), error=error)
    return Outcome.FAILED


def _run(ports: Ports, attempt: HeldAttempt, task: Task) -> Outcome:
    try:
        return _attempt(ports, attempt, task)
    except Fenced:
        end_attempt(ports, attempt, Outcome.FENCED.value)
        ports.journal.record(
            Event.ATTEMPT_FENCED, task_id=attempt.ref.task_id, tenant=attempt.ref.tenant, epoch=attempt.epoch
        )
        return Outcome.FENCED
    except OutcomeUnknown:
        end_attempt(ports, attempt, Outcome.UNKNOWN.value)
        return Outcome.UNKNOWN


def _attempt(ports: Ports, attempt: HeldAttempt, task: Task) -> Outcome:
    try:
        manifest = load_manifest(ports, task)
        result = write_result(ports, attempt, task, manifest)
    except SluiceError as error:
        if error.code in TRANSIENT_CODES:
            release_attempt(ports, attempt, error)
            return Outcome.RELEASED
        fail_attempt(ports, attempt, error)
        return Outcome.FAILED
    except StoreError as error:
        release_attempt(ports, attempt, error)
        return Outcome.RELEASED
    except Fenced:
        raise
    except Exception as error:
        release_attempt(ports, attempt, error)
        raise
    return _finish(ports, attempt, task, result)


def _finish(ports: Ports, attempt: HeldAttempt, task: Task, result: WrittenResult) -> Outcome:
    """Name the result in the row. The file exists from here."""
    now = ports.clock.now()
    finished = apply_transition(
        ports,
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
            "expires_at": now + ports.timings.retention_s,
            "due_at": now,
        },
        is_mine=lambda row: row.result_key == result.key,
    )
    if not finished:
        raise Fenced
    end_attempt(ports, attempt, Outcome.COMPLETED.value)
    ports.journal.record(
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


def _note(ports: Ports, trigger: ManifestRef, event: Event, **fields: object) -> None:
    ports.journal.record(event, task_id=trigger.task.task_id, tenant=trigger.task.tenant, **fields)
