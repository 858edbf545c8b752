"""Which rows of the task file are due, the tenants in turn."""

# ruff: noqa: S608 -- statements are put together from conditions of our own; values are always bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from sluice.adapters.sqlite.schema import ENDED_OR_OPEN, LIVE
from sluice.adapters.tenant_turns import take_turns
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.ports.task_store import DueTasks


class _Bound(NamedTuple):
    """A part of the rows by when they are due."""

    condition: str
    time: float


def find_due(db: sqlite3.Connection, now: float, *, limit: int, latest: float) -> DueTasks:
    """Ask each tenant that has rows due for its first ones, by an index in which they lie side by side.

    No backlog is read through, whatever its length, and at most about twice ``limit`` rows are kept, or one a tenant.
    """
    due = _Bound("due_at <= ?", now)
    return DueTasks(
        live=_find(db, LIVE, (_Bound("due_at > ?", latest), due), limit),
        others=_find(db, ENDED_OR_OPEN, (due,), limit),
    )


def _find(db: sqlite3.Connection, kind: str, bounds: Sequence[_Bound], limit: int) -> list[TaskRef]:
    asked = _tenants(db, kind, bounds)
    share = -(-limit // max(len(asked), 1))
    found: dict[str, list[tuple[float, TaskRef]]] = {}
    while asked:
        for tenant in asked:
            found[tenant] = _of_tenant(db, kind, bounds, tenant, share)
        asked = [tenant for tenant in asked if len(found[tenant]) == share]  # it may have more
        if sum(map(len, found.values())) >= limit:
            break
        share *= 2
    rows = sorted((row for rows in found.values() for row in rows), key=lambda row: row[0])
    return take_turns((ref for _, ref in rows), limit)


def _tenants(db: sqlite3.Connection, kind: str, bounds: Sequence[_Bound]) -> list[str]:
    """Step from tenant to tenant, whatever rows each has, and name those that have rows within ``bounds``."""
    has_any = " OR ".join(
        f"EXISTS (SELECT 1 FROM tasks WHERE {kind} AND tenant = known AND {bound.condition})" for bound in bounds
    )
    query = f"""
        WITH RECURSIVE tenants(known) AS (
            SELECT min(tenant) FROM tasks WHERE {kind}
            UNION ALL
            SELECT (SELECT min(tenant) FROM tasks WHERE {kind} AND tenant > known) FROM tenants WHERE known IS NOT NULL
        )
        SELECT known FROM tenants WHERE known IS NOT NULL AND ({has_any})
    """
    return [tenant for (tenant,) in db.execute(query, [bound.time for bound in bounds])]


def _of_tenant(
    db: sqlite3.Connection, kind: str, bounds: Sequence[_Bound], tenant: str, limit: int
) -> list[tuple[float, TaskRef]]:
    """The tenant's first rows with when they are due; those that a wrong clock put off are overdue for ever."""
    rows: list[tuple[float, TaskRef]] = []
    for bound in bounds:
        query = f"""
            SELECT due_at, task_id FROM tasks WHERE {kind} AND tenant = ? AND {bound.condition} ORDER BY due_at LIMIT ?
        """
        for due_at, task_id in db.execute(query, (tenant, bound.time, limit - len(rows))):
            overdue_since = due_at if bound is bounds[-1] else -inf
            rows.append((overdue_since, TaskRef(TenantId(tenant), TaskId(task_id))))
    return rows
