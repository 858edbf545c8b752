"""In-memory stores that show every change to the oracle before anybody else sees it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from math import inf

from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.reading import Reading
from sluice.domain.task import Task, TaskFields
from sluice.ports.clock import Clock
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import NoSuchObject
from sluice.ports.task_store import DueTasks
from tests.support.simulation.oracle import Oracle, Violation


class WatchedStore(MemoryStore):
    def __init__(self, *, clock: Clock, idle_s: float) -> None:
        super().__init__(clock=clock)
        self.oracle = Oracle(self.peek, clock.now, idle_s=idle_s)

    def become(self, other: WatchedStore) -> None:
        """Hold what another store holds."""
        self._objects = dict(other._objects)
        self._uploads = {number: replace(staged, parts=dict(staged.parts)) for number, staged in other._uploads.items()}
        self._upload_numbers = copy(other._upload_numbers)
        self.oracle.believe(other.oracle)

    def peek(self, key: str) -> bytes | None:
        """What is under ``key``, without anybody noticing."""
        try:
            return super().get(key)
        except NoSuchObject:
            return None

    def lose(self, key: str) -> None:
        """Drop an object as no store should: nobody deleted it."""
        del self._objects[key]

    def spoil(self, key: str) -> None:
        """Change an object's bytes as no store should."""
        self._objects[key] = self._objects[key]._replace(data=self._objects[key].data + b"?")

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self.oracle.object_written(key)
        super().put(key, data, metadata=metadata)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        staged = any(known.upload_id == upload.upload_id for known in self.list_uploads(""))
        if staged:
            self.oracle.object_written(upload.key)
        super().complete_upload(upload, receipts)
        self.oracle.attempt_completed(upload.key, self.get(upload.key))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            if self.peek(key) is not None:
                self.oracle.object_deleted(key)
        super().delete(keys)


class WatchedTasks(MemoryTasks):
    """With ``index_lag`` the index of due tasks is late, as the port allows: it misses some and proposes others."""

    def __init__(self, oracle: Oracle, *, index_lag: random.Random | None = None) -> None:
        super().__init__()
        self.oracle = oracle
        self.index_lag = index_lag

    def become(self, other: WatchedTasks) -> None:
        """Hold what another store holds."""
        self._tasks = dict(other._tasks)
        self._claims = {ref: dict(claims) for ref, claims in other._claims.items()}
        self._attempts = {ref: dict(attempts) for ref, attempts in other._attempts.items()}

    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        due = super().due(now, limit=limit, latest=latest)
        lag = self.index_lag
        if lag is None:
            return due
        proposed = {*due.live, *due.others}
        stale = [task.ref for task in self.scan() if task.ref not in proposed and lag.random() < 0.2]
        seen = DueTasks(*([ref for ref in refs if lag.random() < 0.8] for refs in due))
        return DueTasks(seen.live, seen.others + stale)

    def create(self, task: Task) -> bool:
        created = super().create(task)
        if created:
            self.oracle.row_changed(task.ref, None, task)
        return created

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        before = self.read(ref)
        claimed = super().claim(ref, claim, at=at, due_at=due_at, reading=reading)
        if claimed:
            self.oracle.facts(ref).claims[claim.sequence] = claim.sha
            self._changed(ref, before)
            self.check_counters(ref)
        return claimed

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        before = self.read(ref)
        updated = super().update(ref, guard, fields)
        if updated:
            self._changed(ref, before)
        return updated

    def forget_claims(self, ref: TaskRef) -> None:
        task = self.read(ref)
        if task is not None and not task.state.terminal:
            raise Violation(f"I2 the claims of a task in state {task.state} were dropped")
        super().forget_claims(ref)

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        before = self.read(ref)
        removed = super().remove(ref, guard)
        if removed:
            self._changed(ref, before)
        return removed

    def check_counters(self, ref: TaskRef) -> None:
        """The counters are those of the claims, exactly; a task that renders another's chunks has no claims."""
        held = self.read_claims(ref)
        if held is None or held.task.live_params.source_task:
            return
        task, claims = held.task, list(held.valid())
        counted = (len(claims), sum(claim.rows for claim in claims), sum(claim.size for claim in claims))
        if counted != (task.batches_received, task.rows_received, task.bytes_received):
            raise Violation("I6 the counters of the row are not those of its claims")

    def _changed(self, ref: TaskRef, before: Task | None) -> None:
        self.oracle.row_changed(ref, before, self.read(ref))
