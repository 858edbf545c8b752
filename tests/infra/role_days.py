"""What each function does in its life: every use case it runs, in each way that makes other calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.errors import SluiceError
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, chunk_key, input_folder, result_key
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.ports.object_store import ListedObject
from sluice.ports.outside import Outside
from sluice.usecases.cancel_export import cancel_export, delete_export
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.compose_export import compose_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.make_link import make_link
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.read_status import list_exports, read_status
from sluice.usecases.reconcile_stores import reconcile_stores
from sluice.usecases.render_again import RenderRequest, render_again
from sluice.usecases.repair_task import ring_again
from sluice.usecases.sweep_tasks import sweep_tasks
from tests.infra.cloud_recorder import ACCOUNT, REGION, CloudRecorder, table_resource
from tests.infra.ram_policies import CloudCall

TENANT = TenantId("acme")
PARAMS = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("a"),))
DAY_S = 24 * 3600
KEYS_READ = CloudCall("ots:GetRow", table_resource("_keys"))


def relay_day(world: CloudRecorder) -> set[CloudCall]:
    """Open, send, repeat, contradict, close, close again, render again, cancel, delete."""
    relay = world.as_role()
    outside = relay.outside()
    sealed_task(outside, "first")
    task = sealed_task(outside, "again")
    close_export(outside, task.ref, CloseRequest())
    render_again(outside, task.ref, RenderRequest(format=ExportFormat.XLSX))
    with suppress(SluiceError):
        put_batch(outside, Definitions(outside), task.ref, sequence=1, batch=_batch("other"))
    cancel_export(outside, open_export(outside, TENANT, OpenRequest(PARAMS)).task.ref)
    delete_export(outside, sealed_task(outside, "unwanted").ref)
    return relay.calls | {KEYS_READ}


def query_day(world: CloudRecorder) -> set[CloudCall]:
    """Look, list both ways, and make a link to a file that is there."""
    done = _completed(world)
    query = world.as_role()
    outside = query.outside()
    read_status(outside, done.ref)
    list_exports(outside, TENANT)
    list_exports(outside, TENANT, state=State.COMPLETED)
    make_link(outside, done.ref)
    return query.calls | {KEYS_READ}


def grpc_day(world: CloudRecorder) -> set[CloudCall]:
    """The gRPC face has every call there is."""
    return relay_day(world) | query_day(world)


def compose_day(world: CloudRecorder) -> set[CloudCall]:
    """Write a file; write one again from another's chunks; lose a chunk; find the manifest gone; wait for its share."""
    sender = world.as_role().outside()
    first, lost, bare = (sealed_task(sender, name) for name in ("first", "lost", "bare"))
    rendered = render_again(sender, first.ref, RenderRequest(format=ExportFormat.XLSX)).task
    world.outside().objects.delete([item.key for item in _input_of(world, lost) if "/c/" in item.key])
    world.outside().objects.delete([item.key for item in _input_of(world, bare) if "/m/" in item.key])
    compose = world.as_role()
    for task in (first, rendered, lost, bare):
        compose_export(compose.outside(), bell_of(world.outside(), task))
    last = sealed_task(sender, "last")
    compose_export(compose.outside(Limits(tenant_composing_max=1)), bell_of(world.outside(), last))
    # Function Compute puts events whose attempts are used up into the queue, as the function's role.
    return compose.calls | {CloudCall("mns:SendMessage", queue_resource())}


def sweep_day(world: CloudRecorder) -> set[CloudCall]:
    """Repair and clean up everything that time brings, ringing in both ways, and walk through all once."""
    sender, composer = world.as_role().outside(), world.as_role()
    idle = open_export(sender, TENANT, OpenRequest(PARAMS)).task
    put_batch(sender, Definitions(sender), idle.ref, sequence=1, batch=_batch("idle"))
    done = sealed_task(sender, "done")
    compose_export(composer.outside(), bell_of(world.outside(), done))
    unheard = sealed_task(sender, "unheard")
    _leave_behind(world, done)
    sweep = world.as_role()
    for by_manifest in (False, True):
        if by_manifest:
            sweep.ring_by_manifest()
        ring_again(sweep.outside(), unheard.ref)
        for _ in range(60):
            world.clock.advance(DAY_S)
            sweep_tasks(sweep.outside())
    reconcile_stores(sweep.outside())
    return sweep.calls


DAYS: dict[str, Callable[[CloudRecorder], set[CloudCall]]] = {
    "RelayRole": relay_day,
    "GrpcRole": grpc_day,
    "ComposeRole": compose_day,
    "QueryRole": query_day,
    "SweepRole": sweep_day,
}


def queue_resource(queue: str = "sluice-dev-failures") -> str:
    return f"acs:mns:{REGION}:{ACCOUNT}:/queues/{queue}/messages"


def _completed(world: CloudRecorder) -> Task:
    outside = world.as_role().outside()
    task = sealed_task(outside, "done")
    compose_export(outside, bell_of(world.outside(), task))
    return _row(world.outside(), task)


def sealed_task(outside: Outside, key: str) -> Task:
    request = OpenRequest(PARAMS, idempotency_key=key)
    ref = open_export(outside, TENANT, request).task.ref
    open_export(outside, TENANT, request)
    for _ in range(2):
        put_batch(outside, Definitions(outside), ref, sequence=1, batch=_batch(key))
    return close_export(outside, ref, CloseRequest())


def _leave_behind(world: CloudRecorder, task: Task) -> None:
    """What a composer that died, and a task that never was, leave in the stores."""
    outside = world.outside()
    outside.objects.begin_upload(result_key(task.ref, epoch=2, nonce="0" * 16, extension="csv"), metadata={})
    nobody = TaskRef(TENANT, TaskId("z" * 26))
    outside.objects.put(chunk_key(nobody, 1, "0" * 32), b"x")
    outside.objects.put(result_key(nobody, epoch=1, nonce="0" * 16, extension="csv"), b"x")
    outside.objects.begin_upload(result_key(nobody, epoch=2, nonce="0" * 16, extension="csv"), metadata={})


def _input_of(world: CloudRecorder, task: Task) -> list[ListedObject]:
    return list(world.outside().objects.list(input_folder(task.ref)))


def bell_of(outside: Outside, task: Task) -> ManifestRef:
    return ManifestRef(task.ref, _row(outside, task).man_sha)


def _row(outside: Outside, task: Task) -> Task:
    row = outside.tasks.read(task.ref)
    assert row is not None
    return row


def _batch(text: str) -> Batch:
    return Batch.of_rows([(text,)], 1)
