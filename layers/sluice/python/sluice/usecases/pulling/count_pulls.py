"""Count what a user has asked of a dataset lately."""

from __future__ import annotations

from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.limits import HOUR_S
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.usecases.pulling.find_pulls import find_pulls


def count_pulls(ports: Ports, tenant: TenantId, user: User, dataset: str, *, since: float) -> list[float]:
    """When the user opened exports of the dataset since then, newest first. Ended ones count, deleted ones do not.

    Nor do those whose rows an export has already: nothing is read for them, and a tenant's key may have asked for them.
    """
    return [task.created_at for task in find_pulls(ports, tenant, user, dataset, since=since)]


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
