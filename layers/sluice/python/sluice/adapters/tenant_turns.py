"""Turns of tenants among the tasks that a store proposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sluice.domain.keys import TaskRef, TenantId


def take_turns(refs: Iterable[TaskRef], limit: int) -> list[TaskRef]:
    """The first of each tenant, then the second of each and so on, each round in the given order; at most ``limit``."""
    before: Counter[TenantId] = Counter()
    turns: list[tuple[int, TaskRef]] = []
    for ref in dict.fromkeys(refs):
        turns.append((before[ref.tenant], ref))
        before[ref.tenant] += 1
    turns.sort(key=lambda turn: turn[0])  # keeps the order among those of one round
    return [ref for _, ref in turns[:limit]]
