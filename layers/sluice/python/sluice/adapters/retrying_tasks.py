"""Repeats the task store's idempotent calls when their outcome is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.task import Attempt, State, Task, TaskFields
from sluice.ports.clock import Clock, Randomness
from sluice.ports.retry import Repeater
from sluice.ports.task_store import ClaimedTask, TaskPage, TaskStore


class RetryingTasks:
    """Reads are repeated, and writes that have no condition.

    A conditional write is not: after an unknown outcome a second "no" may mean
    that the first try won, which only the caller can find out by reading back.
    No call is tried again later than ``within_s`` after it began.
    """

    def __init__(
        self, tasks: TaskStore, *, clock: Clock, randomness: Randomness, tries: int = 4, within_s: float = inf
    ) -> None:
        self._tasks = tasks
        self._repeater = Repeater(clock=clock, randomness=randomness, tries=tries, within_s=within_s)

    def read(self, ref: TaskRef) -> Task | None:
        return self._repeater.call(lambda: self._tasks.read(ref))

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        return self._repeater.call(lambda: self._tasks.read_claims(ref))

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        return self._repeater.call(lambda: self._tasks.read_claim(ref, sequence))

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        return self._repeater.call(lambda: self._tasks.page(tenant, state=state, limit=limit, cursor=cursor))

    def count(self, tenant: TenantId, state: State) -> int:
        return self._repeater.call(lambda: self._tasks.count(tenant, state))

    def create(self, task: Task) -> bool:
        return self._tasks.create(task)

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float) -> bool:
        return self._tasks.claim(ref, claim, at=at, due_at=due_at)

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        return self._tasks.update(ref, guard, fields)

    def forget_claims(self, ref: TaskRef) -> None:
        self._repeater.call(lambda: self._tasks.forget_claims(ref))

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        return self._tasks.remove(ref, guard)

    def due(self, now: float, *, limit: int) -> list[TaskRef]:
        return self._repeater.call(lambda: self._tasks.due(now, limit=limit))

    def scan(self) -> Iterator[Task]:
        return self._tasks.scan()

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        self._repeater.call(lambda: self._tasks.log_attempt(ref, attempt))

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        return self._repeater.call(lambda: self._tasks.read_attempts(ref))
