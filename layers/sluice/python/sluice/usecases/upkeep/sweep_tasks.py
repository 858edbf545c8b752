"""Repair whatever was lost: triggers, leases, idle tasks, files past their time, garbage."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import assert_never

from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.lifecycle import (
    Guard,
    bury,
    expire_idle,
    expire_result,
    next_garbage_round,
    open_until,
    put_off_garbage,
    trigger_again,
)
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreError
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.upkeep.collect_garbage import collect_garbage

SWEEP_MAX = 500


class Swept(StrEnum):
    """What the sweeper did with a task that was due."""

    NOTHING = "nothing"
    IDLE_EXPIRED = "idle_expired"
    LOST_TRIGGER = "lost_trigger"
    LAPSED_LEASE = "lapsed_lease"
    RESULT_EXPIRED = "result_expired"
    GARBAGE = "garbage"
    TOMBSTONE = "tombstone"
    REMOVED = "removed"
    ERROR = "error"


def sweep_tasks(ports: Ports, *, limit: int = SWEEP_MAX, until: float | None = None) -> Counter[Swept]:
    """Look at every task that is due, at most ``limit``, and none after ``until``; returns what was done.

    ``until`` is by the monotonic clock. What is left is due at the next sweep.

    Any number of sweepers may run at once: the index only proposes, each task
    is read again, and every step is one conditional update. A store that fails
    on one task does not keep the others from their turn.
    """
    started = ports.clock.monotonic()
    done: Counter[Swept] = Counter()
    for ref in ports.tasks.due(ports.clock.now(), limit=limit):
        if until is not None and ports.clock.monotonic() >= until:
            break
        done[sweep_quietly(ports, ref)] += 1
    ports.journal.record(
        Event.SWEEP_FINISHED,
        swept={what.value: count for what, count in sorted(done.items())},
        duration_s=ports.clock.monotonic() - started,
    )
    return done


def sweep_quietly(ports: Ports, ref: TaskRef) -> Swept:
    """As ``sweep_task``; a store that fails is noted, and the caller goes on with the next task."""
    try:
        return sweep_task(ports, ref)
    except StoreError as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=ref.task_id, error=error)
        return Swept.ERROR


def sweep_task(ports: Ports, ref: TaskRef) -> Swept:
    """Take one task one step further, if it is due."""
    task = ports.tasks.read(ref)
    if task is None or task.due_at > ports.clock.now():
        return Swept.NOTHING
    match task.state:
        case State.OPEN:
            return _expire_idle(ports, task)
        case State.SEALED:
            return _trigger(ports, task, Swept.LOST_TRIGGER)
        case State.COMPOSING:
            return _trigger(ports, task, Swept.LAPSED_LEASE)
        case State.COMPLETED | State.FAILED | State.CANCELLED | State.EXPIRED:
            return _tend_or_put_off(ports, task)
        case _:
            assert_never(task.state)


def _expire_idle(ports: Ports, task: Task) -> Swept:
    """End a task that was never closed."""
    now = ports.clock.now()
    if not apply_transition(ports, task.ref, expire_idle(task, now=now)):
        return Swept.NOTHING
    ports.journal.record(
        Event.TASK_EXPIRED,
        task_id=task.task_id,
        tenant=task.tenant,
        reason="open too long" if now >= open_until(task.created_at, ports.timings) else "idle",
        from_state="open",
    )
    return Swept.IDLE_EXPIRED


def _trigger(ports: Ports, task: Task, reason: Swept) -> Swept:
    """Ask for a composer, and look again later in case that is lost too."""
    if not apply_transition(ports, task.ref, trigger_again(task, now=ports.clock.now(), timings=ports.timings)):
        return Swept.NOTHING
    ports.invoker.invoke(ManifestRef(task.ref, task.man_sha), epoch=task.epoch + 1)
    return reason


def _tend_or_put_off(ports: Ports, task: Task) -> Swept:
    """Tend an ended task. If a store does not let us, come back later: the most overdue would fill every sweep."""
    try:
        return _tend_ended(ports, task)
    except StoreError:
        apply_transition(ports, task.ref, put_off_garbage(task, now=ports.clock.now(), timings=ports.timings))
        raise


def _tend_ended(ports: Ports, task: Task) -> Swept:
    """Collect an ended task's garbage, round by round; then its result, its parameters, its row."""
    now = ports.clock.now()
    if not task.params:
        gone = ports.tasks.remove(task.ref, Guard(state=task.state, rev=task.rev))
        return Swept.REMOVED if gone else Swept.NOTHING
    if task.state is State.COMPLETED and now >= task.expires_at:
        return _expire_result(ports, task)
    collect_garbage(ports, task)
    again = next_garbage_round(task, now=now, timings=ports.timings)
    if again is not None:
        return Swept.GARBAGE if apply_transition(ports, task.ref, again) else Swept.NOTHING
    ports.tasks.forget_claims(task.ref)
    apply_transition(ports, task.ref, bury(task, now=ports.clock.now(), timings=ports.timings))
    return Swept.TOMBSTONE


def _expire_result(ports: Ports, task: Task) -> Swept:
    """End the retention; the objects go at the next look."""
    if not apply_transition(ports, task.ref, expire_result(now=ports.clock.now(), timings=ports.timings)):
        return Swept.NOTHING
    ports.journal.record(
        Event.TASK_EXPIRED, task_id=task.task_id, tenant=task.tenant, reason="retention", from_state="completed"
    )
    return Swept.RESULT_EXPIRED
