"""Read one task, as a step of other use cases or for a caller who asks, and list a tenant's tasks."""

from __future__ import annotations

from collections.abc import Callable

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.manifest import sequence_ranges
from sluice.domain.task import State, Task
from sluice.domain.task_errors import refusal_of
from sluice.ports.bundle import Ports
from sluice.ports.log_context import note_export
from sluice.ports.task_store import TaskPage

PAGE_MAX = 500
SEARCHED_MAX = 5_000
"""Tasks that are looked through for one page of a search."""


def find_task(ports: Ports, ref: TaskRef) -> Task:
    """The row as of now. Raises TASK_NOT_FOUND, and TASK_DELETED for a task its owner deleted."""
    task = ports.tasks.read(ref)
    if task is None:
        raise SluiceError(ErrorCode.TASK_NOT_FOUND)
    if task.deleted_at:
        raise SluiceError(ErrorCode.TASK_DELETED)
    note_task(task)
    return task


def note_task(task: Task) -> None:
    """Have the lines that follow in this call say which export they are about."""
    note_export(task.task_id, opened_by=task.client_request_id, trace_parent=task.trace_parent)


def batch_ranges(ports: Ports, ref: TaskRef) -> list[tuple[int, int]]:
    """The sequences of the stored batches as ranges, both ends included, in order."""
    read = ports.tasks.read_claims(ref)
    return sequence_ranges(read.claims) if read else []


def find_changed(ports: Ports, task: Task) -> Task:
    """The row as of now, read only if it changed since ``task`` was read. Raises as ``find_task``.

    Without columns, as ``read_status`` gives it: its caller holds it until the next change.
    """
    return task if ports.tasks.read_rev(task.ref) == task.rev else find_task(ports, task.ref).without_columns()


def read_status(ports: Ports, ref: TaskRef) -> Task:
    """The row as of now, ``without_columns``; does not read the claims. Raises TASK_NOT_FOUND and TASK_DELETED."""
    try:
        task = find_task(ports, ref).without_columns()
    except SluiceError:
        ports.journal.record(Event.STATUS_NOT_FOUND, tenant=ref.tenant)
        raise
    ports.journal.record(Event.STATUS_QUERIED, task_id=ref.task_id, tenant=ref.tenant, state=task.state.value)
    return task


def stored_ranges(ports: Ports, task: Task) -> list[tuple[int, int]]:
    """Which sequences of a task are stored, if a stream of its batches was refused; else nothing is read."""
    claimed = ports.tasks.read_claims(task.ref) if refusal_of(task) else None
    return sequence_ranges(claimed.claims) if claimed else []


def list_exports(
    ports: Ports,
    tenant: TenantId,
    *,
    state: State | None = None,
    request_id: str = "",
    limit: int = 50,
    cursor: str = "",
) -> TaskPage:
    """A page of the tenant's tasks, newest first; those that it deleted are left out, so a page may be short.

    Of those that a ``request_id`` opened, one page looks through at most
    ``SEARCHED_MAX`` tasks: it may be empty, with a cursor to look on from.
    Raises INVALID_REQUEST for a bad limit or cursor.
    """
    wanted = (lambda task: task.client_request_id == request_id) if request_id else None
    return search_tasks(ports, tenant, wanted, state=state, limit=limit, cursor=cursor)


def search_tasks(
    ports: Ports,
    tenant: TenantId,
    wanted: Callable[[Task], bool] | None,
    *,
    state: State | None = None,
    limit: int = 50,
    cursor: str = "",
) -> TaskPage:
    """As ``list_exports``, of the tasks that are ``wanted``; None: of all."""
    if not 1 <= limit <= PAGE_MAX:
        raise SluiceError(ErrorCode.INVALID_REQUEST, f"limit is from 1 to {PAGE_MAX}", field="limit")
    step = PAGE_MAX if wanted else limit
    damaged: list[TaskId] = []
    tasks: list[Task] = []
    for _ in range(SEARCHED_MAX // PAGE_MAX if wanted else 1):
        try:
            page = ports.tasks.page(tenant, state=state, limit=step, cursor=cursor)
        except ValueError:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "not a cursor of this listing", field="cursor") from None
        found = [task for task in page.tasks if not task.deleted_at and (wanted is None or wanted(task))]
        if len(found) > limit:  # one search finds many: from here on in steps that cannot have too many
            step = limit
            continue
        tasks, cursor = found, page.cursor
        damaged += page.damaged
        if tasks or not cursor:
            break
    return TaskPage(tasks, cursor, damaged)
