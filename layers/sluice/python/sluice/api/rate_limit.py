"""How often a tenant may call."""

from __future__ import annotations

import math
from collections import OrderedDict
from threading import Lock

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.clock import Clock
from sluice.ports.journal import Journal

TENANTS_MAX = 10_000


class RateLimiter:
    """A token bucket for each tenant: ``burst`` calls at once, then ``per_s`` in a second. ``per_s`` 0 is no limit.

    Keeps one number for each tenant (when its bucket will be full again) and
    forgets those that called longest ago beyond ``tenants_max``. Safe to use
    from any thread.
    """

    def __init__(
        self, *, clock: Clock, journal: Journal, per_s: float, burst: int = 0, tenants_max: int = TENANTS_MAX
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._interval_s = 1 / per_s if per_s else 0.0
        self._slack_s = ((burst or max(1, math.floor(per_s))) - 1) * self._interval_s
        self._tenants_max = tenants_max
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def take(self, tenant: str) -> None:
        """Count one call. Raises RATE_LIMITED with ``retry_after_s``; such a call does not count."""
        if not self._interval_s:
            return
        wait_s = self._take(tenant)
        if wait_s > 0:
            self._journal.record(Event.RATE_LIMIT_REACHED, tenant=tenant)
            raise SluiceError(ErrorCode.RATE_LIMITED, retry_after_s=math.ceil((wait_s - _ROUNDING_S) * 1000) / 1000)

    def _take(self, tenant: str) -> float:
        """Take a token, or say in how many seconds there will be one."""
        now = self._clock.monotonic()
        with self._lock:
            full_at = max(self._full_at.get(tenant, now), now)
            wait_s = full_at - now - self._slack_s
            if wait_s <= _ROUNDING_S:
                full_at += self._interval_s
                wait_s = 0
            self._full_at[tenant] = full_at
            self._full_at.move_to_end(tenant)
            if len(self._full_at) > self._tenants_max:
                self._full_at.popitem(last=False)
        return wait_s


_ROUNDING_S = 1e-9
"""Sums of intervals are not exact; a call is not refused for that."""
