"""Stop a task, or remove a finished one."""

from __future__ import annotations

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import cancel, delete
from sluice.domain.reading import dataset_facts
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.reading.read_task import find_task, note_task


def cancel_export(ports: Ports, ref: TaskRef) -> Task:
    """Stop a task that has not ended. From the return on, it never gets a file.

    Repeatable. Raises ALREADY_COMPLETED for a finished file, EXPIRED, and for
    a failed task TASK_CLOSED.
    """
    for _ in range(CHANGES_MAX):
        task = find_task(ports, ref)
        if task.state is State.CANCELLED:
            return task
        if task.state is State.COMPLETED:
            raise SluiceError(ErrorCode.ALREADY_COMPLETED)
        if task.state.terminal:
            raise ended_error(task)
        if _cancel(ports, task):
            return find_task(ports, ref)
    raise OutcomeUnknown("the task kept changing while it was being cancelled")


def cancel_if_live(ports: Ports, ref: TaskRef) -> None:
    """As ``cancel_export``; a task that has ended by itself meanwhile is left as it is."""
    try:
        cancel_export(ports, ref)
    except SluiceError as error:
        if error.code not in {ErrorCode.ALREADY_COMPLETED, ErrorCode.TASK_CLOSED, ErrorCode.EXPIRED}:
            raise


def delete_export(ports: Ports, ref: TaskRef) -> None:
    """Cancel a task that is running; remove one that has ended, with its file and its chunks.

    One that is cancelled has ended, so a second call removes what the first one cancelled. A removed task answers
    TASK_DELETED from then on. Links that were given out
    die at once where the service serves them; elsewhere when the sweeper
    collects the file, at its next round, or when the last task that shares it
    ends. Repeatable.
    """
    was_running = False
    for _ in range(CHANGES_MAX):
        task = ports.tasks.read(ref)
        if task is None:
            raise SluiceError(ErrorCode.TASK_NOT_FOUND)
        note_task(task)
        if task.deleted_at or (was_running and task.state is State.CANCELLED):
            return
        was_running = not task.state.terminal
        if task.state.terminal and apply_transition(ports, ref, delete(task, now=ports.clock.now())):
            facts = dataset_facts(task)
            ports.journal.record(Event.TASK_DELETED, task_id=ref.task_id, tenant=ref.tenant, **facts)
            return
        if not task.state.terminal and _cancel(ports, task):
            return
    raise OutcomeUnknown("the task kept changing while it was being deleted")


def _cancel(ports: Ports, task: Task) -> bool:
    taken = apply_transition(ports, task.ref, cancel(task, now=ports.clock.now(), timings=ports.timings))
    if taken:
        ports.journal.record(
            Event.TASK_CANCELLED,
            task_id=task.task_id,
            tenant=task.tenant,
            from_state=task.state.value,
            **dataset_facts(task),
        )
    return taken
