"""Remove the objects that an ended task no longer needs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sluice.domain.errors import SluiceError
from sluice.domain.keys import TaskId, TaskRef, input_folder, output_folder, sequence_of_chunk, shared_key
from sluice.domain.shared_result import give_back, is_needed
from sluice.domain.task import State, Task
from sluice.domain.task_errors import result_key_of
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import NoSuchObject, OutcomeUnknown
from sluice.usecases.apply_transition import apply_transition

BATCH = 500


def collect_garbage(ports: Ports, task: Task) -> int:
    """Delete what no row names, abort uploads that no attempt will finish; returns how many were removed.

    ``task`` was read just now and has ended, so no attempt of it can finish any
    more, and only ``result_key`` is kept: of a completed task, and of one whose
    result another task has. Chunks are kept while the task can still be
    rendered again. Repeatable; an object that lands later is found by a later
    round. What cannot be opened goes too; a folder that cannot be looked into
    is an ``OutcomeUnknown`` once all else is gone.
    """
    if not task.state.terminal:
        raise AssertionError("a live task has no garbage that is safe to touch")
    if task.state is not State.COMPLETED and task.result_of:
        _give_back(ports, task)
    if task.state is not State.COMPLETED and task.content_sha:
        _withdraw(ports, task)
    removed = 0
    closed: list[str] = []
    doomed = _doomed(ports, task, closed)
    while keys := list(islice(doomed, BATCH)):
        ports.objects.delete(keys)
        removed += len(keys)
    for upload in list(ports.objects.list_uploads(output_folder(task.ref))):
        ports.objects.abort_upload(upload)
        removed += 1
    if closed:
        raise OutcomeUnknown(f"{len(closed)} folders of the task cannot be opened")
    return removed


def collect_left_out(ports: Ports, task: Task) -> None:
    """Delete the chunks of readings that were begun anew. Repeatable; one that lands later is found by a later call.

    ``task`` was read from the store: what a row leaves out once, no later one has. So this needs no lease, and who is
    overtaken while it is at work deletes nothing of the one that took over.
    """
    if task.first_sequence == 1:
        return
    left_out = _left_out(ports, task)
    while keys := list(islice(left_out, BATCH)):
        ports.objects.delete(keys)


def _left_out(ports: Ports, task: Task) -> Iterator[str]:
    for item in ports.objects.list(input_folder(task.ref)):
        sequence = sequence_of_chunk(task.ref, item.key)
        if sequence is not None and not task.has_batch(sequence):
            yield item.key


def keeps_chunks(task: Task, now: float) -> bool:
    """Whether the task may still be rendered again from its chunks.

    A completed task leaves its state when its retention is over, a failed one does not.
    """
    if not task.params or task.deleted_at:
        return False
    return task.state is State.COMPLETED or (task.state is State.FAILED and now < task.expires_at)


def is_named_by_others(ports: Ports, task: Task) -> bool:
    """Whether the row of a task that shares the result of ``task`` still names it."""
    rows = (ports.tasks.read(TaskRef(task.tenant, TaskId(other))) for other in task.shared_with)
    return any(row is not None and row.state is State.COMPLETED and row.result_of == task.task_id for row in rows)


def _doomed(ports: Ports, task: Task, closed: list[str]) -> Iterator[str]:
    """The keys of what goes, also of files that cannot be opened; folders that cannot go to ``closed``."""
    is_kept = task.state is State.COMPLETED or is_needed(task, now=ports.clock.now())
    has_file = task.params is None or task.params.is_file
    named = result_key_of(task) if is_kept and has_file else ""
    unreadable: list[str] = []
    for item in ports.objects.list(output_folder(task.ref), unreadable.append):
        if item.key != named:
            yield item.key
    if keeps_chunks(task, ports.clock.now()):
        yield from _left_out(ports, task) if task.first_sequence > 1 else ()
    else:
        for item in ports.objects.list(input_folder(task.ref), unreadable.append):
            yield item.key
    yield from (key for key in unreadable if key != named and not key.endswith("/"))
    closed += (key for key in unreadable if key.endswith("/"))


def _withdraw(ports: Ports, task: Task) -> None:
    """Let no later task look for the result of ``task``, which has ended, unless another's was offered since."""
    key = shared_key(task.tenant, task.content_sha)
    try:
        if ports.objects.get(key) == task.task_id.encode():
            ports.objects.delete([key])
    except NoSuchObject:
        pass


def _give_back(ports: Ports, task: Task) -> None:
    """Say in the row of the owner that ``task``, which has ended, no longer needs the owner's result. Repeatable.

    An owner whose row is damaged is left alone: the entry ends by itself.
    """
    owner = TaskRef(task.tenant, TaskId(task.result_of))
    for _ in range(CHANGES_MAX):
        try:
            source = ports.tasks.read(owner)
        except SluiceError:
            return
        if source is None or task.task_id not in source.shared_with:
            return
        if apply_transition(ports, owner, give_back(source, task.task_id, now=ports.clock.now())):
            return
