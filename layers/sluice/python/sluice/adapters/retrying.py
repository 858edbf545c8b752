"""Repeats the stores' idempotent calls when their outcome is unknown, by the one rule of ``ports/retry``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from math import inf

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.attempts import LeaseEnds
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.reading import Reading
from sluice.domain.task import Attempt, State, Task, TaskFields
from sluice.ports.clock import Clock, Randomness
from sluice.ports.journal import Journal
from sluice.ports.object_store import ObjectInfo, ObjectStore, PartReceipt, Upload
from sluice.ports.retry import STORE_CALLS, Retry, RetryRule
from sluice.ports.store_errors import OutcomeUnknown
from sluice.ports.task_store import ClaimedTask, DueTasks, TaskPage, TaskStore, pass_by


class RetryingStore(ForwardingStore):
    """Not repeated are ``complete_upload`` and the listings.

    Completing again may say ``NoSuchUpload`` after a success, which only the
    caller can tell from a failure; a listing is made again by the next sweep.
    A repeated ``begin_upload`` may leave an upload that no row names;
    garbage collection finds it by its key. Each block of a range is a call.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        clock: Clock,
        randomness: Randomness,
        rule: RetryRule = STORE_CALLS,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(store)
        self._retry = _retry(rule, clock, randomness, journal, Event.CALL_REPEATED)
        self._retry_upload = _retry(rule, clock, randomness, journal, Event.UPLOAD_ERROR)

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._retry.call(lambda: self._store.put(key, data, metadata=metadata))

    def get(self, key: str) -> bytes:
        return self._retry.call(lambda: self._store.get(key))

    def head(self, key: str) -> ObjectInfo:
        return self._retry.call(lambda: self._store.head(key))

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        """Go on behind the last good block after a failure, so the object must not be replaced meanwhile."""
        position = start
        blocks = self._store.read_range(key, position, end)

        def next_block() -> bytes:
            nonlocal blocks
            try:
                return next(blocks, b"")
            except OutcomeUnknown:
                blocks = self._store.read_range(key, position, end)
                raise

        try:
            while block := self._retry.call(next_block):
                yield block
                position += len(block)
        finally:
            blocks.close()

    def delete(self, keys: Sequence[str]) -> None:
        self._retry.call(lambda: self._store.delete(keys))

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._retry_upload.call(lambda: self._store.begin_upload(key, metadata=metadata))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._retry_upload.call(lambda: self._store.put_part(upload, part_number, data))

    def abort_upload(self, upload: Upload) -> None:
        self._retry_upload.call(lambda: self._store.abort_upload(upload))


class RetryingTasks:
    """Reads are repeated, and writes that have no condition.

    A conditional write is not: after an unknown outcome a second "no" may mean
    that the first try won, which only the caller can find out by reading back.
    """

    def __init__(
        self,
        tasks: TaskStore,
        *,
        clock: Clock,
        randomness: Randomness,
        rule: RetryRule = STORE_CALLS,
        journal: Journal | None = None,
    ) -> None:
        self._tasks = tasks
        self._retry = _retry(rule, clock, randomness, journal, Event.CALL_REPEATED)

    def read(self, ref: TaskRef) -> Task | None:
        return self._retry.call(lambda: self._tasks.read(ref))

    def read_rev(self, ref: TaskRef) -> int | None:
        return self._retry.call(lambda: self._tasks.read_rev(ref))

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        return self._retry.call(lambda: self._tasks.read_claims(ref))

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        return self._retry.call(lambda: self._tasks.read_claim(ref, sequence))

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        return self._retry.call(lambda: self._tasks.page(tenant, state=state, limit=limit, cursor=cursor))

    def count(self, tenant: TenantId, state: State) -> int:
        return self._retry.call(lambda: self._tasks.count(tenant, state))

    def count_leased(self, tenant: TenantId, ends: LeaseEnds) -> int:
        return self._retry.call(lambda: self._tasks.count_leased(tenant, ends))

    def create(self, task: Task) -> bool:
        return self._tasks.create(task)

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        return self._tasks.claim(ref, claim, at=at, due_at=due_at, reading=reading)

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        return self._tasks.update(ref, guard, fields)

    def forget_claims(self, ref: TaskRef) -> None:
        self._retry.call(lambda: self._tasks.forget_claims(ref))

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        return self._tasks.remove(ref, guard)

    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        return self._retry.call(lambda: self._tasks.due(now, limit=limit, latest=latest))

    def scan(self, on_damaged: Callable[[TaskRef], object] = pass_by) -> Iterator[Task]:
        return self._tasks.scan(on_damaged)

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        self._retry.call(lambda: self._tasks.log_attempt(ref, attempt))

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        return self._retry.call(lambda: self._tasks.read_attempts(ref))


def _retry(rule: RetryRule, clock: Clock, randomness: Randomness, journal: Journal | None, event: Event) -> Retry:
    """The rule; each call that is made again is recorded as ``event``, with what failed."""
    if journal is None:
        return Retry(rule, clock, randomness)
    return Retry(rule, clock, randomness, lambda error: journal.record(event, error=error))
