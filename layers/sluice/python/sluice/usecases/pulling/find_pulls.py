"""Find what a user has asked of a dataset, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sluice.domain.dataset import Dataset
from sluice.domain.keys import TenantId
from sluice.domain.limits import DAY_S
from sluice.domain.task import Task
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.usecases.pulling.make_params import may_have
from sluice.usecases.reading.read_task import PAGE_MAX

PAGES_MAX = 20
"""Pages of the tenant's exports that are looked through; with more since then the older ones are not found."""
LISTED_MAX = 10
"""Exports of one user that are shown."""


def find_pulls(ports: Ports, tenant: TenantId, user: User, dataset: str, *, since: float) -> Iterator[Task]:
    """The exports of the dataset that the user has opened since then, newest first; no deleted ones, no other formats.

    Their parameters are as a listing has them: without what may be long.
    """
    cursor = ""
    for _ in range(PAGES_MAX):
        page = ports.tasks.page(tenant, state=None, limit=PAGE_MAX, cursor=cursor)
        for task in page.tasks:
            if task.created_at < since:
                return
            pulled = task.params.pulled if task.params and not task.params.source_task else None
            if pulled is not None and (pulled.dataset, pulled.user) == (dataset, user.name):
                yield task
        cursor = page.cursor
        if not cursor:
            return


def list_pulls(ports: Ports, tenant: TenantId, user: User, dataset: Dataset) -> list[Task]:
    """The user's exports whose files may still be there, or come, newest first, at most ``LISTED_MAX``.

    Left out are those with rows, columns or values that the user may not have any more. Raises PERMISSION_DENIED where
    the user's credential does not say what the rows are chosen by.
    """
    since = ports.clock.now() - dataset.expires_s - DAY_S
    rows = (ports.tasks.read(task.ref) for task in find_pulls(ports, tenant, user, dataset.dataset, since=since))
    return list(islice((row for row in rows if row is not None and _may_have(dataset, user, row)), LISTED_MAX))


def _may_have(dataset: Dataset, user: User, task: Task) -> bool:
    pulled = task.params.pulled if task.params else None
    return pulled is not None and may_have(dataset, user, pulled)
