"""Compose a sealed task's file: at most one attempt for each call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from sluice.domain.attempts import COMPOSE, has_attempts_left, is_leased, lease_ends
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.domain.lifecycle import complete, postpone
from sluice.domain.manifest import Manifest
from sluice.domain.task import Result, State, Task
from sluice.ports.bundle import Ports
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing.read_chunks import load_manifest
from sluice.usecases.composing.reuse_result import content_digest, find_result, offer_result
from sluice.usecases.composing.write_result import TRANSIENT_CODES, ComposeLease, write_result
from sluice.usecases.lease import Outcome, acquire, end, fail_exhausted, ports_for, renew_if_due, run_attempt
from sluice.usecases.reading.read_task import note_task

Deliver: TypeAlias = Callable[[Ports, ComposeLease, Task, Manifest], Result]
"""What is done in place of writing a file, for a task that becomes none."""


def no_delivery(ports: Ports, lease: ComposeLease, task: Task, manifest: Manifest) -> Result:
    """Say that this process only writes files."""
    del ports, lease, manifest
    raise ValueError(f"the task {task.task_id} becomes no file, and this process writes nothing else")


def compose_export(ports: Ports, trigger: ManifestRef, *, owner: str = "", deliver: Deliver = no_delivery) -> Outcome:
    """Answer a trigger: take the task if it is free, write its file, and finish it.

    Repeatable, late, doubled and concurrent calls are harmless: one attempt
    holds the task at a time, each writes under its own key, and the file
    exists from the one update that names it. ``owner`` names the attempt, as
    for ``acquire``, and ``deliver`` does the work of a task that becomes no
    file. Raises only what it did not foresee, after giving the task back.
    """
    task = ports.tasks.read(trigger.task)
    ports = ports_for(ports, task)
    if task is not None:
        note_task(task)
    has_room = task is None or not task.room_needed or ports.has_room(task.tenant, task.room_needed)
    verdict = _judge(ports, task, trigger, has_room=has_room)
    if verdict is not None or task is None:
        outcome = verdict or Outcome.DROPPED
        ports.journal.record(
            Event.MANIFEST_DROPPED,
            task_id=trigger.task.task_id,
            tenant=trigger.task.tenant,
            outcome=outcome.value,
            **({"room_needed": task.room_needed} if task is not None and outcome is Outcome.NO_ROOM else {}),
        )
        return outcome
    if not has_attempts_left(task, now=ports.clock.now(), timings=ports.timings, has_room=has_room):
        return fail_exhausted(ports, task, **({} if has_room else {"room_needed": task.room_needed}))
    lease = acquire(ports, COMPOSE, task, owner=owner)
    if lease is None:
        return Outcome.BUSY
    return _attempt(ports, lease, task, deliver)


def _judge(ports: Ports, task: Task | None, trigger: ManifestRef, *, has_room: bool) -> Outcome | None:
    """Why the trigger needs no work; None when it does."""
    if task is None or task.state not in {State.SEALED, State.COMPOSING} or task.man_sha != trigger.sha:
        return Outcome.DROPPED
    if task.state is State.COMPOSING and is_leased(task, now=ports.clock.now(), timings=ports.timings):
        return Outcome.BUSY
    if _has_its_share(ports, task):
        # its task waits, and loses no attempt
        apply_transition(ports, task.ref, postpone(task, now=ports.clock.now()))
        return Outcome.POSTPONED
    now = ports.clock.now()
    may_wait = has_attempts_left(task, now=now, timings=ports.timings, has_room=has_room)
    if task.state is State.SEALED and not has_room and may_wait:
        # It met a full disk. Written again now, it would only take the room of others again, and give it back.
        apply_transition(ports, task.ref, postpone(task, now=now))
        return Outcome.NO_ROOM
    return None


def _has_its_share(ports: Ports, task: Task) -> bool:
    """Whether so many composers are at work for the task's tenant as may be.

    A row whose lease has lapsed has none, though it shows no other state until it is taken over: it may rest for long.
    """
    share = ports.limits.tenant_composing_max
    if not share or ports.tasks.count(task.tenant, State.COMPOSING) < share:
        return False
    return ports.tasks.count_leased(task.tenant, lease_ends(ports.clock.now(), ports.timings)) >= share


def _attempt(ports: Ports, lease: ComposeLease, task: Task, deliver: Deliver) -> Outcome:
    """Write the file, or find one that has the same content, and name it."""

    def make() -> Result:
        manifest = load_manifest(ports, task)
        params = task.live_params
        if not params.is_file:
            return deliver(ports, lease, task, manifest)
        is_shared = params.options.reuse and not params.has_about  # which names this task, as no other file does
        content = content_digest(ports, task, manifest) if is_shared else ""
        keep = partial(renew_if_due, ports, lease, moves=True)  # with each block of another's file
        result = find_result(ports, task, content, on_block=keep) if content else None
        return result or write_result(ports, lease, task, manifest)._replace(content_sha=content)

    outcome, result = run_attempt(ports, lease, make, partial(_finish, ports, lease, task), transient=TRANSIENT_CODES)
    if result is not None and result.content_sha:
        offer_result(ports, task, result.content_sha)
    return outcome


def _finish(ports: Ports, lease: ComposeLease, task: Task, result: Result) -> None:
    """Name the result in the row. The file exists from here."""
    now = ports.clock.now()
    pulled = task.live_params.pulled
    if pulled is not None and pulled.kept_s:
        until = now + pulled.kept_s
        result = result._replace(expires_at=min(result.expires_at or until, until))
    step = complete(lease.epoch, result, parts=lease.progress.parts_done, now=now, timings=ports.timings)
    end(ports, lease, step, outcome=Outcome.COMPLETED.value)
    ports.journal.record(
        Event.TASK_COMPLETED,
        task_id=task.task_id,
        tenant=task.tenant,
        format=task.live_params.format.value if task.live_params.is_file else None,
        rows=result.rows,
        bytes=result.size,
        epoch=lease.epoch,
        duration_s=now - (task.sealed_at or lease.started_at),
        **lease.facts,
    )
    if result.owner:
        ports.journal.record(
            Event.RESULT_REUSED, task_id=task.task_id, tenant=task.tenant, source_task=result.owner, bytes=result.size
        )
