"""Ports in memory that note, for each call, what the cloud's adapters would ask of which resource.

The table of port calls and cloud calls in here is checked against the real adapters by test_cloud_recorder.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from infra.emulators.ram_policies import CloudCall
from sluice.adapters.aliyun.function_compute.manifest_put_invoker import ManifestPutInvoker
from sluice.adapters.aliyun.function_compute.reading_event import ReadersAndComposers
from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.adapters.workers.no_composers import NoComposers
from sluice.domain.keys import ManifestRef
from sluice.domain.limits import Limits
from sluice.ports.bundle import Ports
from sluice.ports.journal import Journal
from sluice.ports.object_store import ListedObject, ObjectInfo, OnUnreadable, PartReceipt, Upload
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_journal import RecordedJournal

ACCOUNT, REGION, STAGE, INSTANCE = "1234567890123456", "cn-hangzhou", "dev", "sl-dev-1a2b"
TEMPLATE_VALUES = {
    "Stage": STAGE,
    "InstanceName": INSTANCE,
    "ALIYUN::TenantId": ACCOUNT,
    "ALIYUN::Region": REGION,
}
BUCKETS = {"in": f"sluice-{STAGE}-in-{ACCOUNT}", "out": f"sluice-{STAGE}-out-{ACCOUNT}"}
FUNCTION = f"acs:fc:{REGION}:{ACCOUNT}:functions/sluice-{STAGE}-compose"
READER = f"acs:fc:{REGION}:{ACCOUNT}:functions/sluice-{STAGE}-extract"

TASK_CALLS = {
    "read": [("GetRow", "")],
    "read_claims": [("GetRow", "")],
    "read_claim": [("GetRow", "")],
    "page": [("GetRange", "_listing"), ("GetRange", "_state_listing"), ("BatchGetRow", "")],
    "count": [("GetRange", "_state_listing")],
    "count_leased": [("GetRange", "_state_listing"), ("GetRow", "")],
    "create": [("PutRow", "")],
    "claim": [("UpdateRow", "")],
    "update": [("UpdateRow", "")],
    "forget_claims": [("GetRow", ""), ("UpdateRow", "")],
    "remove": [("GetRange", ""), ("BatchWriteRow", ""), ("DeleteRow", "")],
    "due": [("GetRange", "_due")],
    "scan": [("GetRange", "")],
    "log_attempt": [("PutRow", "")],
    "read_attempts": [("GetRange", "")],
}
"""Port method: interface and which table, by its suffix."""

OBJECT_CALLS = {
    "put": "oss:PutObject",
    "get": "oss:GetObject",
    "head": "oss:GetObject",
    "read_range": "oss:GetObject",
    "delete": "oss:DeleteObject",
    "list": "oss:ListObjects",
    "list_uploads": "oss:ListMultipartUploads",
    "begin_upload": "oss:PutObject",
    "put_part": "oss:PutObject",
    "complete_upload": "oss:PutObject",
    "abort_upload": "oss:AbortMultipartUpload",
}
"""Port method: the permission its call takes."""


def table_resource(suffix: str = "", table: str = "export_task") -> str:
    return f"acs:ots:{REGION}:{ACCOUNT}:instance/{INSTANCE}/table/{table}{suffix}"


def object_resource(key: str) -> str:
    return f"{bucket_resource(key)}/{key}"


def bucket_resource(key: str) -> str:
    return f"acs:oss:*:{ACCOUNT}:{BUCKETS[key.partition('/')[0]]}"


class CloudRecorder:
    """The calls of one role, and ports that make them."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.calls: set[CloudCall] = set()
        self.clock = clock or FakeClock()
        self._memory = MemoryStore(clock=self.clock)
        self.store = RecordedStore(self._memory, self.calls)
        self.memory_tasks = MemoryTasks()
        self.tasks: Any = RecordedTasks(self.memory_tasks, self.calls)
        self.invoker: Any = RecordedFunction(self.calls)

    def as_role(self) -> CloudRecorder:
        """The same stores, with a record of its own: another function goes on where this one stopped."""
        other = CloudRecorder(self.clock)
        other._memory, other.memory_tasks = self._memory, self.memory_tasks
        other.store = RecordedStore(other._memory, other.calls)
        other.tasks = RecordedTasks(other.memory_tasks, other.calls)
        return other

    def ports(self, limits: Limits | None = None, *, journal: Journal | None = None) -> Ports:
        return Ports(
            objects=self.store,
            tasks=self.tasks,
            links=RecordedLinks(self._memory, self.calls),
            invoker=self.invoker,
            admission=NoComposers(),
            clock=self.clock,
            randomness=SeededRandomness(),
            journal=journal or RecordedJournal(),
            limits=limits or Limits(),
        )

    def ring_by_manifest(self) -> None:
        """Ring as a sweeper without a function to call does."""
        self.invoker = ReadersAndComposers(readers=self.invoker, composers=ManifestPutInvoker(self.store))


class RecordedStore(ForwardingStore):
    def __init__(self, store: Any, calls: set[CloudCall]) -> None:
        super().__init__(store)
        self._calls = calls

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self._note("put", key)
        super().put(key, data, metadata=metadata)

    def get(self, key: str) -> bytes:
        self._note("get", key)
        return super().get(key)

    def head(self, key: str) -> ObjectInfo:
        self._note("head", key)
        return super().head(key)

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        self._note("read_range", key)
        return super().read_range(key, start, end)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._note("delete", key)
        super().delete(keys)

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        self._calls.add(CloudCall(OBJECT_CALLS["list"], bucket_resource(prefix), prefix))
        return super().list(prefix, on_unreadable)

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        self._calls.add(CloudCall(OBJECT_CALLS["list_uploads"], bucket_resource(prefix)))
        return super().list_uploads(prefix)

    def begin_upload(self, key: str, *, metadata: Mapping[str, str]) -> Upload:
        self._note("begin_upload", key)
        return super().begin_upload(key, metadata=metadata)

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        self._note("put_part", upload.key)
        return super().put_part(upload, part_number, data)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        self._note("complete_upload", upload.key)
        super().complete_upload(upload, receipts)

    def abort_upload(self, upload: Upload) -> None:
        self._note("abort_upload", upload.key)
        super().abort_upload(upload)

    def _note(self, method: str, key: str) -> None:
        self._calls.add(CloudCall(OBJECT_CALLS[method], object_resource(key)))


class RecordedTasks:
    """Every method of the task store."""

    def __init__(self, tasks: MemoryTasks, calls: set[CloudCall]) -> None:
        self._tasks = tasks
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._tasks, name)

        def logged(*arguments: Any, **named: Any) -> Any:
            for interface, suffix in TASK_CALLS[name]:
                self._calls.add(CloudCall(f"ots:{interface}", table_resource(suffix)))
            return method(*arguments, **named)

        return logged


class RecordedLinks:
    """A link opens what its signer may open, so signing counts as reading."""

    names_downloads = True

    def __init__(self, links: MemoryStore, calls: set[CloudCall]) -> None:
        self._links = links
        self._calls = calls

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        self._calls.add(CloudCall("oss:GetObject", object_resource(key)))
        return self._links.mint_link(key, filename=filename, expires_at=expires_at, task_id=task_id)


class RecordedFunction:
    """Rings by invoking the composing function, or the one that reads tables."""

    def __init__(self, calls: set[CloudCall]) -> None:
        self._calls = calls

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        del epoch
        self._calls.add(CloudCall("fc:InvokeFunction", FUNCTION if manifest.sha else READER))
