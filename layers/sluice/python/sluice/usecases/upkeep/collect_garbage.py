"""Remove the objects that an ended task no longer needs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sluice.domain.keys import input_folder, output_folder
from sluice.domain.task import State, Task
from sluice.domain.task_errors import result_key_of
from sluice.ports.bundle import Ports

BATCH = 500


def collect_garbage(ports: Ports, task: Task) -> int:
    """Delete what no row names, abort uploads that no attempt will finish; returns how many were removed.

    ``task`` was read just now and has ended, so no attempt of it can finish any
    more, and only ``result_key`` of a completed task is kept. Chunks are kept
    while the task can still be rendered again. Repeatable; an object that
    lands later is found by a later round.
    """
    if not task.state.terminal:
        raise AssertionError("a live task has no garbage that is safe to touch")
    removed = 0
    doomed = _doomed(ports, task)
    while keys := list(islice(doomed, BATCH)):
        ports.objects.delete(keys)
        removed += len(keys)
    for upload in list(ports.objects.list_uploads(output_folder(task.ref))):
        ports.objects.abort_upload(upload)
        removed += 1
    return removed


def keeps_chunks(task: Task, now: float) -> bool:
    """Whether the task may still be rendered again from its chunks.

    A completed task leaves its state when its retention is over, a failed one does not.
    """
    if not task.params or task.deleted_at:
        return False
    return task.state is State.COMPLETED or (task.state is State.FAILED and now < task.expires_at)


def _doomed(ports: Ports, task: Task) -> Iterator[str]:
    named = result_key_of(task) if task.state is State.COMPLETED else ""
    for item in ports.objects.list(output_folder(task.ref)):
        if item.key != named:
            yield item.key
    if not keeps_chunks(task, ports.clock.now()):
        for item in ports.objects.list(input_folder(task.ref)):
            yield item.key
