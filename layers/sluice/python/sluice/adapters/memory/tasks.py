"""Task rows in a dictionary: the in-memory twin of the task stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from threading import RLock

import msgspec

from sluice.adapters.page_cursor import Position
from sluice.adapters.tenant_turns import take_turns
from sluice.domain.attempts import LeaseEnds
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.reading import Reading
from sluice.domain.task import LIVE, Attempt, State, Task, TaskFields
from sluice.ports.task_store import ClaimedTask, DueTasks, TaskPage, pass_by


class MemoryTasks:
    """One lock makes every method atomic."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._tasks: dict[TaskRef, Task] = {}
        self._claims: dict[TaskRef, dict[int, Claim]] = {}
        self._attempts: dict[TaskRef, dict[int, Attempt]] = {}

    def read(self, ref: TaskRef) -> Task | None:
        with self._lock:
            return self._tasks.get(ref)

    def read_rev(self, ref: TaskRef) -> int | None:
        task = self.read(ref)
        return None if task is None else task.rev

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        with self._lock:
            task = self._tasks.get(ref)
            return None if task is None else ClaimedTask(task, dict(self._claims.get(ref, {})))

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        with self._lock:
            return self._claims.get(ref, {}).get(sequence)

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        after = Position.read(cursor)
        with self._lock:
            listed = [
                task
                for task in self._tasks.values()
                if task.tenant == tenant and task.params and state in (None, task.state)
            ]
        listed.sort(key=_rank)
        if after is not None:
            listed = [task for task in listed if _rank(task) > (-after.created_at, after.task_id)]
        page = [task.without_columns() for task in listed[:limit]]
        return TaskPage(page, Position.of(page[-1]).encode() if len(listed) > limit else "")

    def count(self, tenant: TenantId, state: State) -> int:
        with self._lock:
            return sum(task.tenant == tenant and task.state == state for task in self._tasks.values())

    def count_leased(self, tenant: TenantId, ends: LeaseEnds) -> int:
        with self._lock:
            return sum(
                task.tenant == tenant
                and task.state is State.COMPOSING
                and ends.earliest <= task.lease_until <= ends.latest
                for task in self._tasks.values()
            )

    def create(self, task: Task) -> bool:
        with self._lock:
            if task.ref in self._tasks:
                return False
            self._tasks[task.ref] = task
            return True

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        guard = Guard(state=State.OPEN) if reading is None else reading.guard
        with self._lock:
            task, claims = self._tasks.get(ref), self._claims.setdefault(ref, {})
            if task is None or not guard.fits(task) or claim.sequence in claims:
                return False
            claims[claim.sequence] = claim
            self._tasks[ref] = msgspec.structs.replace(
                task,
                rev=task.rev + 1,
                last_batch_at=at,
                due_at=due_at,
                batches_received=task.batches_received + 1,
                rows_received=task.rows_received + claim.rows,
                bytes_received=task.bytes_received + claim.size,
                **({} if reading is None else reading.fields()),
            )
            return True

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        with self._lock:
            task = self._tasks.get(ref)
            if task is None or not guard.fits(task):
                return False
            self._tasks[ref] = msgspec.structs.replace(task, **fields, rev=task.rev + 1)
            return True

    def forget_claims(self, ref: TaskRef) -> None:
        with self._lock:
            self._claims.pop(ref, None)

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        with self._lock:
            task = self._tasks.get(ref)
            if task is None or not guard.fits(task):
                return False
            for table in (self._tasks, self._claims, self._attempts):
                table.pop(ref, None)
            return True

    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        with self._lock:
            rows = sorted(self._tasks.values(), key=lambda task: (task.due_at <= latest, task.due_at, task.ref))
        live = [task.ref for task in rows if task.state in LIVE and (task.due_at <= now or task.due_at > latest)]
        others = [task.ref for task in rows if task.state not in LIVE and task.due_at <= now]
        return DueTasks(take_turns(live, limit), take_turns(others, limit))

    def scan(self, on_damaged: Callable[[TaskRef], object] = pass_by) -> Iterator[Task]:
        del on_damaged
        with self._lock:
            tasks = list(self._tasks.values())
        yield from tasks

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        with self._lock:
            self._attempts.setdefault(ref, {})[attempt.epoch] = attempt

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        with self._lock:
            return [attempt for _, attempt in sorted(self._attempts.get(ref, {}).items())]


def _rank(task: Task) -> tuple[float, str]:
    """Newest first, ties by id."""
    return -task.created_at, task.task_id
