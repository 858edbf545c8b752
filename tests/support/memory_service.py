"""The whole service in one process, composing in threads: what the API's end-to-end tests call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.forwarding_store import TriggeringStore
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.no_composers import NoComposers
from sluice.api.api_keys import add_key
from sluice.api.auth import KeyRing, OpenRing
from sluice.api.service import Service
from sluice.domain.api_key import Scope
from sluice.domain.dataset import Dataset
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.limits import Limits, Timings
from sluice.domain.pulled import Pulled
from sluice.domain.task import State, Task
from sluice.ports.admission import Admission
from sluice.ports.bundle import Ports, no_sources
from sluice.ports.clock import Clock
from sluice.ports.object_store import MintsLinks, ObjectStore
from sluice.ports.source import Source
from sluice.ports.task_store import TaskStore
from tests.support.inline_invoker import InlineInvoker
from tests.support.recorded_journal import RecordedJournal
from tests.support.stores_under_test import new_stores

TENANT = TenantId("acme")


def unchanged(store: ObjectStore) -> ObjectStore:
    return store


def unchanged_tasks(tasks: TaskStore) -> TaskStore:
    return tasks


class MemoryService:
    """``objects`` and ``tasks`` may wrap the stores, for tests of stores that fail. Join the invoker at the end.

    With ``open_door`` everybody is the tenant ``local`` until the first key is made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: Limits | None = None,
        timings: Timings | None = None,
        clock: Clock | None = None,
        paused: bool = False,
        admission: Admission | None = None,
        journal: RecordedJournal | None = None,
        open_door: bool = False,
        rate_per_s: float = 0,
        rate_burst: int = 0,
        admit_timeout_s: float = 0,
        objects: Callable[[ObjectStore], ObjectStore] = unchanged,
        tasks: Callable[[TaskStore], TaskStore] = unchanged_tasks,
        links: MintsLinks | None = None,
        datasets: Mapping[str, Dataset] | None = None,
        open_source: Callable[[Pulled], Source] = no_sources,
    ) -> None:
        self.clock = clock or SystemClock()
        self.journal = journal or RecordedJournal()
        stores = new_stores(self.clock)
        self.store, self.tasks = stores.objects, stores.tasks
        self.invoker = InlineInvoker(paused=paused)
        self.ports = Ports(
            objects=TriggeringStore(objects(self.store), self.invoker),
            tasks=tasks(self.tasks),
            links=links or stores.links,
            invoker=self.invoker,
            admission=admission or NoComposers(),
            clock=self.clock,
            randomness=SystemRandomness(),
            journal=self.journal,
            pool=stores.pool,
            limits=limits or Limits(),
            timings=timings or Timings(),
            open_source=open_source,
        )
        self.invoker.ports = self.ports
        self.keys = KeyFile(folder / "keys.json")
        ring = KeyRing(self.keys, clock=self.clock, journal=self.journal)
        self.service = Service.over(
            self.ports,
            OpenRing(ring) if open_door else ring,
            rate_per_s=rate_per_s,
            burst=rate_burst,
            admit_timeout_s=admit_timeout_s,
            datasets=lambda: datasets or {},
        )

    def token(self, tenant: str = TENANT, scope: Scope = Scope.WRITE) -> str:
        """A new API key."""
        key = add_key(self.keys, tenant, scopes=[scope], clock=self.clock, randomness=self.ports.randomness)
        return key.text.reveal()

    def row(self, task_id: str, tenant: str = TENANT) -> Task:
        """A task's row as of now."""
        task = self.tasks.read(TaskRef(TenantId(tenant), TaskId(task_id)))
        assert task is not None
        return task

    def held(self, task_id: str, tenant: str = TENANT) -> list[int]:
        """The sequences of a task's batches."""
        claimed = self.tasks.read_claims(TaskRef(TenantId(tenant), TaskId(task_id)))
        assert claimed is not None
        return sorted(claimed.claims)

    def only_row(self, tenant: str = TENANT) -> Task:
        """The row of the tenant's one task."""
        (task,) = self.tasks.page(TenantId(tenant), state=None, limit=10, cursor="").tasks
        return task

    def file(self, task_id: str, tenant: str = TENANT) -> bytes:
        """The bytes of a completed task's file."""
        task = self.row(task_id, tenant)
        assert task.state is State.COMPLETED
        return self.store.get(task.result_key)
