"""Find runs of jobs, newest first."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sluice.domain.keys import TaskId, TenantId
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.usecases.reading.read_task import PAGE_MAX, SEARCHED_MAX, search_tasks
from sluice.usecases.running.open_run import RunStatus, status_of_run


class RunPage(NamedTuple):
    """Part of a listing."""

    runs: list[RunStatus]
    cursor: str
    """Where the next page starts; empty at the end."""
    damaged: list[TaskId]


def list_runs(ports: Ports, tenant: TenantId, *, job: str = "", limit: int = 50, cursor: str = "") -> RunPage:
    """A page of the tenant's runs, of one job or of all, newest first; their parameters as in a listing.

    One page looks through at most ``SEARCHED_MAX`` tasks: it may be empty, with a cursor to look on from. Raises
    INVALID_REQUEST for a bad limit or cursor.
    """
    page = search_tasks(ports, tenant, lambda task: _is_run(task, {job} if job else None), limit=limit, cursor=cursor)
    return RunPage([status_of_run(ports, task) for task in page.tasks], page.cursor, list(page.damaged))


def last_runs(ports: Ports, tenant: TenantId, jobs: Collection[str]) -> dict[str, RunStatus]:
    """The newest run of each of the jobs that has one, among the tenant's last ``SEARCHED_MAX`` tasks."""
    found: dict[str, RunStatus] = {}
    cursor = ""
    for _ in range(SEARCHED_MAX // PAGE_MAX):
        page = ports.tasks.page(tenant, state=None, limit=PAGE_MAX, cursor=cursor)
        for task in page.tasks:
            run = task.params.run if task.params and not task.deleted_at else None
            if run is not None and run.job in jobs and run.job not in found:
                found[run.job] = status_of_run(ports, task)
        cursor = page.cursor
        if not cursor or len(found) == len(jobs):
            break
    return found


def has_run(ports: Ports, tenant: TenantId, job: str) -> bool:
    """Whether the job has a run by its schedule among the tenant's last tasks."""
    page = search_tasks(ports, tenant, lambda task: _is_run(task, {job}) and _has_tick(task), limit=1)
    return bool(page.tasks)


def _is_run(task: Task, jobs: Collection[str] | None) -> bool:
    run = task.params.run if task.params else None
    return run is not None and (jobs is None or run.job in jobs)


def _has_tick(task: Task) -> bool:
    return bool(task.params and task.params.run and task.params.run.tick)
