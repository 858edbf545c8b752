"""Count what a user has asked of a dataset lately."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.limits import HOUR_S
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.usecases.pulling.find_pulls import find_pulls

USERS_MAX = 10_000
"""Whose previews are counted; of more within an hour those that began longest ago are forgotten."""


def count_pulls(ports: Ports, tenant: TenantId, user: User, dataset: str, *, since: float) -> list[float]:
    """When the user opened exports of the dataset since then, newest first. Ended ones count, deleted ones do not.

    Nor do those whose rows an export has already: nothing is read for them, and a tenant's key may have asked for them.
    """
    return [task.created_at for task in find_pulls(ports, tenant, user, dataset, since=since)]


def check_hour(ports: Ports, tenant: TenantId, user: User, dataset: Dataset) -> None:
    """Raise RATE_LIMITED with ``retry_after_s`` where the user has opened as many exports within an hour as it may.

    It is counted from the rows of all instances; of calls at the same moment each may be the last one that is let in.
    """
    most = dataset.limits.per_user_hour
    if not most:
        return
    now = ports.clock.now()
    times = count_pulls(ports, tenant, user, dataset.dataset, since=now - HOUR_S)
    if len(times) >= most:
        detail = f"The user has opened {most} exports of this dataset within an hour, as many as it may."
        retry_after_s = max(1, int(times[most - 1] + HOUR_S - now) + 1)
        raise SluiceError(ErrorCode.RATE_LIMITED, detail, per_user_hour=most, retry_after_s=retry_after_s)


class Hour(NamedTuple):
    """What was counted since a moment, for an hour from there."""

    since: float
    previews: int


class PreviewCounts:
    """Counts the previews of each user of a dataset within an hour, from the first one on. Safe to use from any thread.

    A preview leaves no row that could be counted, so each process of the service counts its own, in memory.
    """

    def __init__(self, *, users_max: int = USERS_MAX) -> None:
        self._users_max = users_max
        self._lock = Lock()
        self._hours: OrderedDict[tuple[str, str, str], Hour] = OrderedDict()
        """Those that began longest ago come first."""

    def take(self, tenant: TenantId, user: User, dataset: Dataset, *, now: float) -> None:
        """Count one more. Raises RATE_LIMITED with ``retry_after_s``; such a call does not count."""
        most, whose = dataset.limits.previews_per_user_hour, (tenant, user.name, dataset.dataset)
        if not most:
            return
        with self._lock:
            hour = self._hours.get(whose)
            if hour is None or now - hour.since >= HOUR_S:
                self._hours.pop(whose, None)
                hour = Hour(now, 0)
            if hour.previews < most:
                self._hours[whose] = hour._replace(previews=hour.previews + 1)
                if len(self._hours) > self._users_max:
                    self._hours.popitem(last=False)
                return
        detail = f"The user has seen {most} previews of this dataset within an hour, as many as it may."
        retry_after_s = int(hour.since + HOUR_S - now) + 1
        raise SluiceError(ErrorCode.RATE_LIMITED, detail, previews_per_user_hour=most, retry_after_s=retry_after_s)
