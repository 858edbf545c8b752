"""What an operator may do by hand: trigger again, free a lease, check a file, check rows."""

from __future__ import annotations

from sluice.domain.attempts import COMPOSE, PULL, Failure
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.lifecycle import release_dead
from sluice.domain.task import LIVE, State, Task
from sluice.domain.task_errors import failure_of
from sluice.ports.bundle import Ports
from sluice.ports.log_context import bound_context
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing.read_chunks import load_manifest, read_chunks
from sluice.usecases.reading.read_result import Verified, read_result
from sluice.usecases.reading.read_task import find_task


def trigger_again(ports: Ports, ref: TaskRef) -> Task:
    """Ask for a composer, or a reader, now. Raises NOT_READY for a task that waits for neither."""
    task = find_task(ports, ref)
    if task.state not in LIVE:
        raise SluiceError(ErrorCode.NOT_READY, state=task.state.value)
    ports.invoker.invoke(ManifestRef(ref, task.man_sha), epoch=task.epoch + 1)
    return task


def release_lease(ports: Ports, ref: TaskRef, *, owner: str | None = None, alone: bool = False) -> bool:
    """Give a task back whose composer will not finish it. False: no composer (or not ``owner``) has its lease.

    Safe at any time: a composer that is alive after all is fenced by its epoch.
    ``alone``: the caller saw that composer die by itself, which may count against the task.
    """
    with bound_context(task_id=ref.task_id):
        task = find_task(ports, ref)
        kind = PULL if task.state is PULL.running else COMPOSE
        if task.state is not kind.running or (owner is not None and task.owner != owner):
            return False
        failure = Failure(ErrorCode.INTERNAL.value, "the worker ended without a word")
        step = release_dead(kind, task, failure, alone=alone, now=ports.clock.now())
        released = apply_transition(ports, ref, step)
        if released:
            ports.journal.record(
                Event.ATTEMPT_RELEASED,
                task_id=task.task_id,
                tenant=task.tenant,
                epoch=task.epoch,
                error_code=failure.code,
            )
        return released


def verify_result(ports: Ports, ref: TaskRef) -> Verified:
    """Read the whole file and compare it with the row. Memory does not depend on its size.

    Raises as a link would for a task without a file, RESULT_MISSING when the
    object is gone, and RESULT_DAMAGED when it is another one.
    """
    task = find_task(ports, ref)
    if task.state is State.FAILED:
        raise failure_of(task)
    if task.state is not State.COMPLETED:
        raise SluiceError(ErrorCode.NOT_READY, state=task.state.value)
    return read_result(ports, task)


def check_chunks(ports: Ports, ref: TaskRef) -> None:
    """Read all rows of a sealed task. Raises CHUNK_MISSING or CHUNK_CORRUPT for the first that cannot be read.

    One chunk is in memory at a time; it takes as long as reading them takes a composer.
    """
    manifest = load_manifest(ports, find_task(ports, ref))
    for batch in read_chunks(ports.objects, manifest, pool=ports.pool):
        del batch
