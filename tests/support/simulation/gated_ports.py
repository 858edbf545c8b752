"""Ports whose every call goes through a gate, where it may be delayed, fail, or never return."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from typing import Protocol, TypeVar

from sluice.domain.attempts import LeaseEnds
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.reading import Reading
from sluice.domain.task import Attempt, State, Task, TaskFields
from sluice.ports.invoker import Invoker
from sluice.ports.object_store import (
    ListedObject,
    MintsLinks,
    ObjectInfo,
    ObjectStore,
    OnUnreadable,
    PartReceipt,
    Upload,
)
from sluice.ports.task_store import ClaimedTask, DueTasks, TaskPage, TaskStore, pass_by

T = TypeVar("T")


class Gate(Protocol):
    def __call__(self, call: str, action: Callable[[], T], /) -> T:
        """Do ``action``, or not, or later; return its value or raise."""


class GatedObjects:
    def __init__(self, store: ObjectStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._gate("objects.put", lambda: self._store.put(key, data, metadata=metadata))

    def get(self, key: str) -> bytes:
        return self._gate("objects.get", lambda: self._store.get(key))

    def head(self, key: str) -> ObjectInfo:
        return self._gate("objects.head", lambda: self._store.head(key))

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        yield from self._gate("objects.read_range", lambda: list(self._store.read_range(key, start, end)))

    def delete(self, keys: Sequence[str]) -> None:
        """One call for each key, since a real bulk delete may stop half-way."""
        for key in keys:
            self._delete_one(key)

    def _delete_one(self, key: str) -> None:
        self._gate("objects.delete", lambda: self._store.delete([key]))

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        yield from self._gate("objects.list", lambda: [*self._store.list(prefix, on_unreadable)])

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        yield from self._gate("objects.list_uploads", lambda: [*self._store.list_uploads(prefix)])

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        return self._gate("objects.begin_upload", lambda: self._store.begin_upload(key, metadata=metadata))

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        return self._gate("objects.put_part", lambda: self._store.put_part(upload, part_number, data))

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._gate("objects.complete", lambda: self._store.complete_upload(upload, receipts))

    def abort_upload(self, upload: Upload) -> None:
        self._gate("objects.abort", lambda: self._store.abort_upload(upload))


class GatedTasks:
    def __init__(self, tasks: TaskStore, gate: Gate) -> None:
        self._tasks = tasks
        self._gate = gate

    def read(self, ref: TaskRef) -> Task | None:
        return self._gate("tasks.read", lambda: self._tasks.read(ref))

    def read_rev(self, ref: TaskRef) -> int | None:
        return self._gate("tasks.read_rev", lambda: self._tasks.read_rev(ref))

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        return self._gate("tasks.read_claims", lambda: self._tasks.read_claims(ref))

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        return self._gate("tasks.read_claim", lambda: self._tasks.read_claim(ref, sequence))

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        return self._gate("tasks.page", lambda: self._tasks.page(tenant, state=state, limit=limit, cursor=cursor))

    def count(self, tenant: TenantId, state: State) -> int:
        return self._gate("tasks.count", lambda: self._tasks.count(tenant, state))

    def count_leased(self, tenant: TenantId, ends: LeaseEnds) -> int:
        return self._gate("tasks.count_leased", lambda: self._tasks.count_leased(tenant, ends))

    def create(self, task: Task) -> bool:
        return self._gate("tasks.create", lambda: self._tasks.create(task))

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        return self._gate("tasks.claim", lambda: self._tasks.claim(ref, claim, at=at, due_at=due_at, reading=reading))

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        step = f"tasks.update {guard.state} to {fields.get('state', guard.state)}"
        return self._gate(step, lambda: self._tasks.update(ref, guard, fields))

    def forget_claims(self, ref: TaskRef) -> None:
        self._gate("tasks.forget_claims", lambda: self._tasks.forget_claims(ref))

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        return self._gate("tasks.remove", lambda: self._tasks.remove(ref, guard))

    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        return self._gate("tasks.due", lambda: self._tasks.due(now, limit=limit, latest=latest))

    def scan(self, on_damaged: Callable[[TaskRef], object] = pass_by) -> Iterator[Task]:
        yield from self._gate("tasks.scan", lambda: list(self._tasks.scan(on_damaged)))

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        self._gate("tasks.log_attempt", lambda: self._tasks.log_attempt(ref, attempt))

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        return self._gate("tasks.read_attempts", lambda: self._tasks.read_attempts(ref))


class GatedInvoker:
    def __init__(self, invoker: Invoker, gate: Gate) -> None:
        self._invoker = invoker
        self._gate = gate

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        self._gate("invoke", lambda: self._invoker.invoke(manifest, epoch=epoch))


class GatedLinks:
    names_downloads = True

    def __init__(self, links: MintsLinks, gate: Gate) -> None:
        self._links = links
        self._gate = gate

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        mint = partial(self._links.mint_link, key, filename=filename, expires_at=expires_at, task_id=task_id)
        return self._gate("links.mint", mint)
