"""Count what a user has asked of a dataset lately."""

from __future__ import annotations

from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.limits import HOUR_S
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.usecases.reading.read_task import PAGE_MAX

PAGES_MAX = 20
"""Pages of the tenant's exports that are looked through; with more within an hour the older ones are not counted."""


def count_pulls(ports: Ports, tenant: TenantId, user: User, dataset: str, *, since: float) -> list[float]:
    """When the user opened exports of the dataset since then, newest first. Ended ones count, deleted ones do not.

    Nor do those whose rows an export has already: nothing is read for them, and a tenant's key may have asked for them.
    """
    times: list[float] = []
    cursor = ""
    for _ in range(PAGES_MAX):
        page = ports.tasks.page(tenant, state=None, limit=PAGE_MAX, cursor=cursor)
        for task in page.tasks:
            if task.created_at < since:
                return times
            pulled = task.params.pulled if task.params and not task.params.source_task else None
            if pulled is not None and (pulled.dataset, pulled.user) == (dataset, user.name):
                times.append(task.created_at)
        cursor = page.cursor
        if not cursor:
            break
    return times


def check_hour(ports: Ports, tenant: TenantId, user: User, dataset: Dataset, task_id: TaskId | None) -> None:
    """Raise RATE_LIMITED with ``retry_after_s`` where the user has opened as many exports within an hour as it may.

    Not where ``task_id`` is there already: what is asked for again costs nothing. It is counted from the rows of all
    instances; of calls at the same moment each may be the last one that is let in.
    """
    most = dataset.limits.per_user_hour
    if not most or (task_id is not None and ports.tasks.read(TaskRef(tenant, task_id)) is not None):
        return
    now = ports.clock.now()
    times = count_pulls(ports, tenant, user, dataset.dataset, since=now - HOUR_S)
    if len(times) >= most:
        detail = f"The user has opened {most} exports of this dataset within an hour, as many as it may."
        retry_after_s = max(1, int(times[most - 1] + HOUR_S - now) + 1)
        raise SluiceError(ErrorCode.RATE_LIMITED, detail, per_user_hour=most, retry_after_s=retry_after_s)
