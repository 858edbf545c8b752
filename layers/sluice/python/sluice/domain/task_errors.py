"""Why a task that has ended takes no more rows, or gives no file, as an error for its caller."""

from __future__ import annotations

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, is_result_of
from sluice.domain.lifecycle import Guard, Transition
from sluice.domain.task import LIVE, State, Task


def ended_error(task: Task) -> SluiceError:
    """Why a task that is no longer open takes nothing more from its sender."""
    if task.deleted_at:
        return SluiceError(ErrorCode.TASK_DELETED, state=task.state.value)
    match task.state:
        case State.CANCELLED:
            return SluiceError(ErrorCode.CANCELLED, state=task.state.value)
        case State.EXPIRED:
            return SluiceError(ErrorCode.EXPIRED, state=task.state.value)
        case _:
            return SluiceError(ErrorCode.TASK_CLOSED, state=task.state.value)


def failure_of(task: Task) -> SluiceError:
    """Why a failed task failed, as an error of its own."""
    try:
        code = ErrorCode(task.last_error_code)
    except ValueError:
        code = ErrorCode.INTERNAL
    return SluiceError(code, task.last_error or None)


def owner_of_result(task: Task) -> TaskRef:
    """The task of the same tenant in whose folder the result lies: the task itself, but for a shared result."""
    return TaskRef(task.tenant, TaskId(task.result_of or task.task_id))


def result_key_of(task: Task) -> str:
    """The key of a completed task's file.

    Raises TASK_DAMAGED for one that lies in no folder the row may name, and NO_FILE for a task that becomes none.
    """
    if task.params is not None and not task.params.is_file:
        raise SluiceError(ErrorCode.NO_FILE)
    if not is_result_of(owner_of_result(task), task.result_key):
        raise SluiceError(ErrorCode.TASK_DAMAGED, column="result_key")
    return task.result_key


def waits_for_room(task: Task) -> bool:
    """Whether the file is not begun again before there is more room than its last attempt met."""
    return task.state is State.SEALED and task.last_error_code == ErrorCode.STORAGE_FULL and task.room_needed > 0


def attempt_error_of(task: Task) -> SluiceError | None:
    """Why the last attempt on a live task failed, so that it is tried again; None while none did."""
    if task.state not in LIVE or not task.last_error_code:
        return None
    if waits_for_room(task):
        detail = f"The file waits for room: it is begun again once {task.room_needed:,} bytes are free for it."
        return SluiceError(ErrorCode.STORAGE_FULL, detail)
    return failure_of(task)


def keep_refusal(task: Task, error: SluiceError) -> Transition:
    """Keep in an open row why a stream of its batches was refused, for who asks later; the seal forgets it."""
    summary = error.summary
    return Transition(
        guard=Guard(state=State.OPEN, rev=task.rev),
        target=State.OPEN,
        fields={"last_error_code": error.code.value, "last_error": summary},
        is_mine=lambda row: row.last_error == summary,
    )


def refusal_of(task: Task) -> SluiceError | None:
    """Why the last stream of batches that ended without a close was refused, while the task is open for more."""
    return failure_of(task) if task.state is State.OPEN and task.last_error_code else None


def error_of(task: Task) -> SluiceError | None:
    """Why the task has no file and never will; None while it may have one."""
    if task.state is State.FAILED:
        return failure_of(task)
    if task.state is State.CANCELLED:
        return SluiceError(ErrorCode.CANCELLED)
    return None
