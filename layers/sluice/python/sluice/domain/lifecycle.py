"""A task's life: the table of legal steps, and each step as a pure function of the row that was read and the time.

A step says what the row must still be (its guard), what it becomes, and how a
row shows that this very step was taken. It is the only place that sets
``due_at``, ``lease_until``, ``finished_at`` and ``expires_at``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from sluice.domain.attempts import POSTPONE_S, Failure, Progress, WorkKind, backoff_s, died, free_at, strikes_after
from sluice.domain.keys import TaskRef
from sluice.domain.limits import Timings
from sluice.domain.manifest import Manifest, short_sha
from sluice.domain.params import ExportParams
from sluice.domain.task import LIVE, NO_ERROR, Result, State, Task, TaskFields


class Fence(NamedTuple):
    """Which columns besides ``state`` a step's one conditional update must compare."""

    rev: bool = False
    epoch: bool = False


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What the row must still be for an update to happen. None is not compared."""

    state: State
    rev: int | None = None
    epoch: int | None = None

    def fits(self, task: Task) -> bool:
        """Whether the row is as this says."""
        return task.state is self.state and self.rev in {None, task.rev} and self.epoch in {None, task.epoch}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step, for one conditional update of one row."""

    guard: Guard
    target: State
    fields: TaskFields
    """What it sets besides the state."""
    is_mine: Callable[[Task], bool]
    """Whether a row read after a lost answer shows that this step was taken, by this caller or as well as by it."""


class IllegalTransition(AssertionError):
    """A step that the table does not have, or without the fence it demands: always our own bug."""


TRANSITIONS: dict[tuple[State | None, State], Fence] = {
    # open, and render again: the row must not exist
    (None, State.OPEN): Fence(),
    (None, State.SEALED): Fence(),
    # open for a reader of ours; begin to read, take over, heartbeat, begin anew, release, seal
    (None, State.WAITING): Fence(),
    **{(State.WAITING, target): Fence(epoch=True) for target in (State.WAITING, State.READING, State.FAILED)},
    **{(State.READING, target): Fence(epoch=True) for target in sorted(LIVE - {State.COMPOSING} | {State.FAILED})},
    # seal: rev unchanged since the read that built the manifest, so no acknowledged batch is left out
    (State.OPEN, State.SEALED): Fence(rev=True),
    # acquire, take over, heartbeat, release, complete: the epoch fences every older attempt
    (State.SEALED, State.COMPOSING): Fence(epoch=True),
    (State.COMPOSING, State.COMPOSING): Fence(epoch=True),
    (State.COMPOSING, State.SEALED): Fence(epoch=True),
    (State.COMPOSING, State.COMPLETED): Fence(epoch=True),
    # a poisoned, exhausted or impossible task
    (State.SEALED, State.FAILED): Fence(epoch=True),
    (State.COMPOSING, State.FAILED): Fence(epoch=True),
    # put off by the sweeper: rev, so that a batch that just arrived wins
    (State.OPEN, State.OPEN): Fence(rev=True),
    # postpone a sealed task (tenant over its share, a trigger given again)
    (State.SEALED, State.SEALED): Fence(epoch=True),
    **{(state, State.CANCELLED): Fence(rev=True, epoch=True) for state in (State.OPEN, *sorted(LIVE))},
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
"""Every legal step but a batch, which leaves the state and has a condition of its own (``TaskStore.claim``)."""


def check(step: Transition) -> None:
    """Raise ``IllegalTransition`` unless the table has the step and its guard carries the fence."""
    guard = step.guard
    fence = TRANSITIONS.get((guard.state, step.target))
    if fence is None:
        raise IllegalTransition(f"{guard.state} to {step.target}")
    if (fence.rev and guard.rev is None) or (fence.epoch and guard.epoch is None):
        raise IllegalTransition(f"{guard.state} to {step.target} without its fence")


# A sender's steps.


def open_task(
    ref: TaskRef, params: ExportParams, *, now: float, timings: Timings, request_id: str = "", trace_parent: str = ""
) -> Task:
    """A new row, open for batches."""
    return Task(
        tenant=ref.tenant,
        task_id=ref.task_id,
        state=State.OPEN,
        params_sha=params.digest(),
        params=params,
        created_at=now,
        due_at=idle_due_at(now, now=now, timings=timings),
        client_request_id=request_id,
        trace_parent=trace_parent,
    )


def open_sealed(
    ref: TaskRef, params: ExportParams, manifest: Manifest, *, now: float, timings: Timings, **opened_by: str
) -> Task:
    """A new row over the chunks of another task: its content is fixed from the start. ``opened_by`` as in the open."""
    return msgspec.structs.replace(
        open_task(ref, params, now=now, timings=timings, **opened_by),
        state=State.SEALED,
        batches_received=len(manifest.chunks),
        rows_received=manifest.rows,
        bytes_received=manifest.size,
        **content(params, manifest, now=now, timings=timings),
    )


def idle_due_at(created_at: float, *, now: float, timings: Timings) -> float:
    """When an open task whose sender has just called expires, unless it calls again."""
    return min(now + timings.idle_s, open_until(created_at, timings))


def open_until(created_at: float, timings: Timings) -> float:
    """When an open task expires however lately a batch came."""
    return created_at + timings.open_max_s


def seal(task: Task, manifest: Manifest, *, now: float, timings: Timings) -> Transition:
    """Fix the content for ever. ``task`` is the row whose claims ``manifest`` lists."""
    fields = content(task.live_params, manifest, now=now, timings=timings)
    return Transition(
        guard=Guard(state=State.OPEN, rev=task.rev),
        target=State.SEALED,
        fields=fields,
        is_mine=lambda row: row.man_sha == fields["man_sha"],
    )


def cancel(task: Task, *, now: float, timings: Timings) -> Transition:
    """End a task that has not ended, without a file. Its columns go: nothing can use them any more."""
    return Transition(
        guard=Guard(state=task.state, rev=task.rev, epoch=task.epoch),
        target=State.CANCELLED,
        fields={**_without_columns(task), **_ended(now, kept_s=timings.retention_s)},
        is_mine=lambda row: row.state is State.CANCELLED,
    )


def delete(task: Task, *, now: float) -> Transition:
    """Mark an ended task as its owner's to be gone: its objects are garbage from now on.

    A tombstone is only marked: its row goes when it is due, and with it the memory of its key.
    """
    return Transition(
        guard=Guard(state=task.state, rev=task.rev),
        target=State.EXPIRED if task.state is State.COMPLETED else task.state,
        fields=(
            {**_without_columns(task), "deleted_at": now, "due_at": now, "gc_round": 0}
            if task.params
            else {"deleted_at": now}
        ),
        is_mine=lambda row: row.deleted_at > 0,
    )


# A worker's steps: one worker at a time holds the row, each fenced from the next by the epoch.


def acquire(kind: WorkKind[Progress], task: Task, *, owner: str, now: float, timings: Timings) -> Transition:
    """Begin the next attempt on a row that waits, or take over one whose lease has lapsed."""
    epoch = task.epoch + 1
    return Transition(
        guard=Guard(state=task.state, epoch=task.epoch),
        target=kind.running,
        fields={
            **(died(task, alone=False) if task.state is kind.running else {}),
            **kind.begin().columns(),
            "epoch": epoch,
            "owner": owner,
            "started_at": task.started_at or now,
            **settled_upkeep(task),
            **leased(now, timings),
        },
        is_mine=lambda row: row.epoch == epoch and row.owner == owner,
    )


def heartbeat(kind: WorkKind[Progress], epoch: int, progress: Progress, *, now: float, timings: Timings) -> Transition:
    """Extend the lease and show the progress."""
    return Transition(
        guard=Guard(state=kind.running, epoch=epoch),
        target=kind.running,
        fields={**progress.columns(), **leased(now, timings)},
        is_mine=lambda row: row.state is kind.running and row.epoch == epoch,
    )


def release(
    kind: WorkKind[Progress],
    epoch: int,
    failure: Failure,
    *,
    strikes: int,
    now: float,
    timings: Timings,
    kept: TaskFields | None = None,
) -> Transition:
    """Give the row back after a transient failure, to be tried again after a pause that doubles with each attempt.

    ``strikes`` are those of the row when the attempt began, ``kept`` what the next attempt has to know of it.
    """
    due_at = now + backoff_s(epoch, timings)
    fields = TaskFields(strikes=strikes_after(strikes, failure), due_at=due_at)
    return _given_back(kind, epoch, failure, {**(kept or {}), **fields})


def release_dead(kind: WorkKind[Progress], task: Task, failure: Failure, *, alone: bool, now: float) -> Transition:
    """Give back a row whose worker is believed dead, to be tried again at once. ``alone`` as ``died`` has it."""
    return _given_back(kind, task.epoch, failure, {**died(task, alone=alone), "due_at": now})


def complete(epoch: int, result: Result, *, parts: int, now: float, timings: Timings) -> Transition:
    """Name the result. The file exists from here."""
    return Transition(
        guard=Guard(state=State.COMPOSING, epoch=epoch),
        target=State.COMPLETED,
        fields={
            "result_key": result.key,
            "result_size": result.size,
            "result_crc64": result.crc64,
            "result_sha256": result.sha256,
            "result_rows": result.rows,
            "result_of": result.owner,
            "content_sha": result.content_sha,
            "warnings": result.warnings,
            "rows_done": result.rows,
            "parts_done": parts,
            **_ended(now, kept_s=(result.expires_at - now) if result.expires_at else timings.retention_s),
        },
        is_mine=lambda row: (row.state, row.epoch, row.result_key) == (State.COMPLETED, epoch, result.key),
    )


def fail(guard: Guard, failure: Failure, *, now: float, timings: Timings) -> Transition:
    """End a task for good whose file no attempt can make. ``guard`` is what its attempt, or its reader, knows of it."""
    return Transition(
        guard=guard,
        target=State.FAILED,
        fields={
            "last_error_code": failure.code,
            "last_error": failure.summary,
            **_ended(now, kept_s=timings.retention_s),
        },
        is_mine=lambda row: row.state is State.FAILED,
    )


def postpone(task: Task, *, now: float) -> Transition:
    """Let a row wait that may not be worked on yet; it loses no attempt."""
    return stays(task, {"due_at": now + POSTPONE_S})


def trigger_again(task: Task, *, now: float, timings: Timings) -> Transition:
    """Put the next look off, so that the worker who is asked for has the time to come."""
    return stays(task, {"due_at": now + timings.trigger_grace_s})


def wait_free(task: Task, *, timings: Timings) -> Transition:
    """Look at a row again when its pause is over whose lease has lapsed before."""
    return stays(task, {"due_at": free_at(task, timings)})


def make_due(task: Task, *, now: float) -> Transition:
    """Have the sweeper look now; a worker that holds the row is not disturbed."""
    return stays(task, {"due_at": now})


# The end of a row.


def expire_idle(task: Task, *, now: float) -> Transition:
    """End a task that was never closed; ``rev`` lets a batch that just arrived win. Nothing of it is kept."""
    return Transition(
        guard=Guard(state=State.OPEN, rev=task.rev),
        target=State.EXPIRED,
        fields={**_without_columns(task), **_ended(now, kept_s=0)},
        is_mine=lambda row: row.state is State.EXPIRED,
    )


def expire_result(*, now: float, timings: Timings) -> Transition:
    """End a result's retention. Its objects go once the last link has expired."""
    return Transition(
        guard=Guard(state=State.COMPLETED),
        target=State.EXPIRED,
        fields={"gc_round": 0, "due_at": now + timings.link_s},
        is_mine=lambda row: row.state is State.EXPIRED,
    )


def next_garbage_round(task: Task, *, now: float, timings: Timings) -> Transition | None:
    """Say when an ended task whose garbage was just collected is looked at again; None: never, it can be buried."""
    delays = timings.gc_delays_s
    if task.gc_round < len(delays):
        since = max(task.finished_at, task.deleted_at)
        return stays(task, {"gc_round": task.gc_round + 1, "due_at": since + delays[task.gc_round]})
    kept_until = max((0 if task.deleted_at else task.expires_at), *task.shared_with.values(), 0)
    return stays(task, {"due_at": kept_until}) if now < kept_until else None


def put_off(task: Task, reason: str, *, now: float, timings: Timings) -> Transition:
    """Look at a task again after a pause that doubles each time: its step could not be taken, for ``reason``."""
    failures = task.upkeep_failures + 1
    due_at = max(task.due_at, now + backoff_s(failures, timings))
    return stays(task, {"upkeep_failures": failures, "upkeep_error": reason, "due_at": due_at})


def settled_upkeep(task: Task) -> TaskFields:
    """What a step sets besides that ends a row of failures of the sweeper."""
    return {"upkeep_failures": 0, "upkeep_error": ""} if task.upkeep_failures else {}


def bury(task: Task, *, now: float, timings: Timings) -> Transition:
    """Keep only the id, so that a late retry of the open cannot make the task again."""
    return stays(task, {"params": None, "shared_with": {}, "renders": {}, "due_at": now + timings.tombstone_s})


def content(params: ExportParams, manifest: Manifest, *, now: float, timings: Timings) -> TaskFields:
    """What a seal sets."""
    return {
        "total_batches": len(manifest.chunks),
        "total_rows": manifest.rows,
        "man_sha": short_sha(manifest.encode()),
        "sheet_rows": manifest.sheet_rows(len(params.sheets)) if params.sheets else (),
        "sealed_at": now,
        "due_at": now + timings.trigger_grace_s,
        **NO_ERROR,  # of a refused stream
    }


def _without_columns(task: Task) -> TaskFields:
    """What an end sets after which no row is taken and nothing is rendered: columns may be megabytes."""
    return {"params": task.live_params.without_columns()}


def _ended(now: float, *, kept_s: float) -> TaskFields:
    """It is due at once, for its garbage."""
    return {"lease_until": 0, "finished_at": now, "expires_at": now + kept_s, "due_at": now}


def leased(now: float, timings: Timings) -> TaskFields:
    """What a lease sets that begins, or is extended."""
    lease_until = now + timings.lease_s
    return {"lease_until": lease_until, "due_at": lease_until + timings.skew_s}


def _given_back(kind: WorkKind[Progress], epoch: int, failure: Failure, fields: TaskFields) -> Transition:
    return Transition(
        guard=Guard(state=kind.running, epoch=epoch),
        target=kind.waiting,
        fields={
            "last_error_code": failure.code,
            "last_error": failure.summary,
            "lease_until": 0,
            **fields,
        },
        is_mine=lambda row: row.state is kind.waiting and row.epoch == epoch,
    )


def stays(task: Task, fields: TaskFields) -> Transition:
    """Change a row that stays in its state, with the fence that the table has for that."""
    fence = TRANSITIONS[task.state, task.state]
    return Transition(
        guard=Guard(state=task.state, rev=task.rev if fence.rev else None, epoch=task.epoch if fence.epoch else None),
        target=task.state,
        fields=fields,
        is_mine=lambda row: row.rev > task.rev,
    )
