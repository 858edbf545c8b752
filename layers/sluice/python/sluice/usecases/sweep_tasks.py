"""Repair whatever was lost: bells, leases, idle tasks, files past their time, garbage."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import assert_never

from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.task import Guard, State, Task, TaskFields
from sluice.ports.outside import Outside
from sluice.ports.store_errors import StoreError
from sluice.usecases.advance_task import advance_task
from sluice.usecases.collect_garbage import collect_garbage

SWEEP_MAX = 500


class Swept(StrEnum):
    """What the sweeper did with a task that was due."""

    NOTHING = "nothing"
    IDLE_EXPIRED = "idle_expired"
    LOST_BELL = "lost_bell"
    LAPSED_LEASE = "lapsed_lease"
    RESULT_EXPIRED = "result_expired"
    GARBAGE = "garbage"
    TOMBSTONE = "tombstone"
    REMOVED = "removed"
    ERROR = "error"


def sweep_tasks(outside: Outside, *, limit: int = SWEEP_MAX, until: float | None = None) -> Counter[Swept]:
    """Look at every task that is due, at most ``limit``, and none after ``until``; returns what was done.

    ``until`` is by the monotonic clock. What is left is due at the next sweep.

    Any number of sweepers may run at once: the index only proposes, each task
    is read again, and every step is one conditional update. A store that fails
    on one task does not keep the others from their turn.
    """
    started = outside.clock.monotonic()
    done: Counter[Swept] = Counter()
    for ref in outside.tasks.due(outside.clock.now(), limit=limit):
        if until is not None and outside.clock.monotonic() >= until:
            break
        done[sweep_quietly(outside, ref)] += 1
    outside.journal.record(
        Event.SWEEP_FINISHED,
        swept={what.value: count for what, count in sorted(done.items())},
        duration_s=outside.clock.monotonic() - started,
    )
    return done


def sweep_quietly(outside: Outside, ref: TaskRef) -> Swept:
    """As ``sweep_task``; a store that fails is noted, and the caller goes on with the next task."""
    try:
        return sweep_task(outside, ref)
    except StoreError as error:
        outside.journal.record(Event.SYSTEM_ERROR, task_id=ref.task_id, error=error)
        return Swept.ERROR


def sweep_task(outside: Outside, ref: TaskRef) -> Swept:
    """Take one task one step further, if it is due."""
    task = outside.tasks.read(ref)
    if task is None or task.due_at > outside.clock.now():
        return Swept.NOTHING
    match task.state:
        case State.OPEN:
            return _expire_idle(outside, task)
        case State.SEALED:
            return _ring(outside, task, Swept.LOST_BELL)
        case State.COMPOSING:
            return _ring(outside, task, Swept.LAPSED_LEASE)
        case State.COMPLETED | State.FAILED | State.CANCELLED | State.EXPIRED:
            return _tend_or_put_off(outside, task)
        case _:
            assert_never(task.state)


def _expire_idle(outside: Outside, task: Task) -> Swept:
    """End a task that nobody closed. ``rev`` lets a batch that just arrived win."""
    now = outside.clock.now()
    is_too_old = now >= task.created_at + outside.timings.open_max_s
    expired = advance_task(
        outside,
        task.ref,
        guard=Guard(state=State.OPEN, rev=task.rev),
        target=State.EXPIRED,
        fields={"finished_at": now, "expires_at": now, "due_at": now},
        won=lambda row: row.state is State.EXPIRED,
    )
    if not expired:
        return Swept.NOTHING
    outside.journal.record(
        Event.TASK_EXPIRED,
        task_id=task.task_id,
        tenant=task.tenant,
        reason="open too long" if is_too_old else "idle",
        from_state="open",
    )
    return Swept.IDLE_EXPIRED


def _ring(outside: Outside, task: Task, reason: Swept) -> Swept:
    """Ask for a composer, and look again later if that was not heard either."""
    moved = advance_task(
        outside,
        task.ref,
        guard=Guard(state=task.state, epoch=task.epoch),
        target=task.state,
        fields={"due_at": outside.clock.now() + outside.timings.bell_grace_s},
        won=lambda row: row.rev > task.rev,
    )
    if not moved:
        return Swept.NOTHING
    outside.invoker.invoke(ManifestRef(task.ref, task.man_sha), epoch=task.epoch + 1)
    return reason


def _tend_or_put_off(outside: Outside, task: Task) -> Swept:
    """Tend an ended task. If a store does not let us, come back later: the most overdue would fill every sweep."""
    try:
        return _tend_ended(outside, task)
    except StoreError:
        _keep(outside, task, {"due_at": outside.clock.now() + outside.timings.backoff_max_s})
        raise


def _tend_ended(outside: Outside, task: Task) -> Swept:
    """Collect an ended task's garbage, round by round; then its result, its parameters, its row."""
    now = outside.clock.now()
    if not task.params:
        gone = outside.tasks.remove(task.ref, Guard(state=task.state, rev=task.rev))
        return Swept.REMOVED if gone else Swept.NOTHING
    if task.state is State.COMPLETED and now >= task.expires_at:
        return _expire_result(outside, task)
    collect_garbage(outside, task)
    delays = outside.timings.gc_delays_s
    if task.gc_round < len(delays):
        since = max(task.finished_at, task.deleted_at)
        return _keep(outside, task, {"gc_round": task.gc_round + 1, "due_at": since + delays[task.gc_round]})
    if now < task.expires_at and not task.deleted_at:
        return _keep(outside, task, {"due_at": task.expires_at})
    return _bury(outside, task)


def _expire_result(outside: Outside, task: Task) -> Swept:
    """The retention is over. The objects go once the last link has died."""
    expired = advance_task(
        outside,
        task.ref,
        guard=Guard(state=State.COMPLETED),
        target=State.EXPIRED,
        fields={"gc_round": 0, "due_at": outside.clock.now() + outside.timings.link_s},
        won=lambda row: row.state is State.EXPIRED,
    )
    if not expired:
        return Swept.NOTHING
    outside.journal.record(
        Event.TASK_EXPIRED, task_id=task.task_id, tenant=task.tenant, reason="retention", from_state="completed"
    )
    return Swept.RESULT_EXPIRED


def _bury(outside: Outside, task: Task) -> Swept:
    """Keep only the id, so that a late retry of the open cannot make the task again."""
    outside.tasks.forget_claims(task.ref)
    _keep(outside, task, {"params": "", "due_at": outside.clock.now() + outside.timings.tombstone_s})
    return Swept.TOMBSTONE


def _keep(outside: Outside, task: Task, fields: TaskFields) -> Swept:
    kept = advance_task(
        outside,
        task.ref,
        guard=Guard(state=task.state, rev=task.rev),
        target=task.state,
        fields=fields,
        won=lambda row: row.rev > task.rev,
    )
    return Swept.GARBAGE if kept else Swept.NOTHING
