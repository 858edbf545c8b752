"""What each function does in its life: every use case it runs, in each way that makes other calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from infra.emulators.ram_policies import CloudCall
from sluice.domain.dataset import Dataset, DatasetColumn, DatasetLimits, TableSource
from sluice.domain.errors import SluiceError
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, chunk_key, input_folder, result_key
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ListedObject
from sluice.ports.source import SourceUnavailable
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.pulling.make_params import PullRequest
from sluice.usecases.pulling.open_pull import Caller, open_pull
from sluice.usecases.pulling.read_source import read_source
from sluice.usecases.reading.make_link import make_link
from sluice.usecases.reading.read_task import list_exports, read_status
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.repair_task import trigger_again
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.infra.cloud_recorder import ACCOUNT, REGION, CloudRecorder, table_resource
from tests.support.listed_source import ListedSource

TENANT = TenantId("acme")
PARAMS = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("a"),))
DATASET = Dataset(
    dataset="orders",
    source=TableSource(connection="crm", table="orders", key=("id",), consistency="key"),
    columns=(DatasetColumn(name="id"),),
    limits=DatasetLimits(per_user_hour=100),
)
DAY_S = 24 * 3600
KEYS_READ = CloudCall("ots:GetRow", table_resource("_keys"))


def relay_day(world: CloudRecorder) -> set[CloudCall]:
    """Open, send, repeat, contradict, close, close again, render again, cancel, delete."""
    relay = world.as_role()
    ports = relay.ports()
    sealed_task(ports, "first")
    task = sealed_task(ports, "again")
    close_export(ports, task.ref, CloseRequest())
    render_again(ports, task.ref, RenderRequest(format=ExportFormat.XLSX))
    with suppress(SluiceError):
        put_batch(ports, ParamsCache(ports), task.ref, sequence=1, batch=_batch("other"))
    cancel_export(ports, open_export(ports, TENANT, OpenRequest(PARAMS)).task.ref)
    delete_export(ports, sealed_task(ports, "unwanted").ref)
    return relay.calls | {KEYS_READ}


def query_day(world: CloudRecorder) -> set[CloudCall]:
    """Look, list both ways, and make a link to a file that is there."""
    done = _completed(world)
    query = world.as_role()
    ports = query.ports()
    read_status(ports, done.ref)
    list_exports(ports, TENANT)
    list_exports(ports, TENANT, state=State.COMPLETED)
    make_link(ports, done.ref)
    return query.calls | {KEYS_READ}


def grpc_day(world: CloudRecorder) -> set[CloudCall]:
    """Both relays run as this role. The gRPC face has every call there is, and users ask both for tables."""
    asked = world.as_role()
    pulled_task(asked.ports(), "asked")
    pulled_task(asked.ports(), "asked")
    return relay_day(world) | query_day(world) | asked.calls


def extract_day(world: CloudRecorder) -> set[CloudCall]:
    """Read a table; give it back once, since the database is away; find another's reading over."""
    asker = world.as_role().ports()
    first, away = pulled_task(asker, "first"), pulled_task(asker, "away")
    extract = world.as_role()
    rows = ListedSource([("1",), ("2",), ("3",)])
    ports = replace(extract.ports(), open_source=lambda _: rows)
    read_source(ports, first.ref)
    read_source(ports, first.ref)
    rows.fails[0] = SourceUnavailable("it is away")
    read_source(ports, away.ref)
    # Function Compute puts events whose attempts are used up into the queue, as the function's role.
    return extract.calls | {CloudCall("mns:SendMessage", queue_resource())}


def compose_day(world: CloudRecorder) -> set[CloudCall]:
    """Write a file; write one again from another's chunks; lose a chunk; find the manifest gone; wait for its share."""
    sender = world.as_role().ports()
    first, lost, bare = (sealed_task(sender, name) for name in ("first", "lost", "bare"))
    rendered = render_again(sender, first.ref, RenderRequest(format=ExportFormat.XLSX)).task
    world.ports().objects.delete([item.key for item in _input_of(world, lost) if "/c/" in item.key])
    world.ports().objects.delete([item.key for item in _input_of(world, bare) if "/m/" in item.key])
    compose = world.as_role()
    for task in (first, rendered, lost, bare):
        compose_export(compose.ports(), trigger_of(world.ports(), task))
    last = sealed_task(sender, "last")
    compose_export(compose.ports(Limits(tenant_composing_max=1)), trigger_of(world.ports(), last))
    # Function Compute puts events whose attempts are used up into the queue, as the function's role.
    return compose.calls | {CloudCall("mns:SendMessage", queue_resource())}


def sweep_day(world: CloudRecorder) -> set[CloudCall]:
    """Repair and clean up everything that time brings, ringing in both ways, and walk through all once."""
    sender, composer = world.as_role().ports(), world.as_role()
    idle = open_export(sender, TENANT, OpenRequest(PARAMS)).task
    put_batch(sender, ParamsCache(sender), idle.ref, sequence=1, batch=_batch("idle"))
    done = sealed_task(sender, "done")
    compose_export(composer.ports(), trigger_of(world.ports(), done))
    unheard, unread = sealed_task(sender, "unheard"), pulled_task(sender, "unread")
    _leave_behind(world, done)
    sweep = world.as_role()
    for by_manifest in (False, True):
        if by_manifest:
            sweep.ring_by_manifest()
        trigger_again(sweep.ports(), unheard.ref)
        trigger_again(sweep.ports(), unread.ref)
        for _ in range(60):
            world.clock.advance(DAY_S)
            sweep_tasks(sweep.ports())
    reconcile_stores(sweep.ports())
    return sweep.calls


DAYS: dict[str, Callable[[CloudRecorder], set[CloudCall]]] = {
    "RelayRole": relay_day,
    "GrpcRole": grpc_day,
    "ComposeRole": compose_day,
    "ExtractRole": extract_day,
    "QueryRole": query_day,
    "SweepRole": sweep_day,
}


def queue_resource(queue: str = "sluice-dev-failures") -> str:
    return f"acs:mns:{REGION}:{ACCOUNT}:/queues/{queue}/messages"


def _completed(world: CloudRecorder) -> Task:
    ports = world.as_role().ports()
    task = sealed_task(ports, "done")
    compose_export(ports, trigger_of(world.ports(), task))
    return _row(world.ports(), task)


def pulled_task(ports: Ports, key: str) -> Task:
    """An export of a table that a user has asked for."""
    request = OpenRequest(PARAMS, idempotency_key=key)
    pull = PullRequest(format=ExportFormat.CSV)
    caller = Caller(TENANT, User(name="ann"))
    return open_pull(ports, caller, DATASET, pull, request, in_background=True).opened.task


def sealed_task(ports: Ports, key: str) -> Task:
    request = OpenRequest(PARAMS, idempotency_key=key)
    ref = open_export(ports, TENANT, request).task.ref
    open_export(ports, TENANT, request)
    for _ in range(2):
        put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=_batch(key))
    return close_export(ports, ref, CloseRequest())


def _leave_behind(world: CloudRecorder, task: Task) -> None:
    """What a composer that died, and a task that never was, leave in the stores."""
    ports = world.ports()
    ports.objects.begin_upload(result_key(task.ref, epoch=2, nonce="0" * 16, extension="csv"), metadata={})
    nobody = TaskRef(TENANT, TaskId("z" * 26))
    ports.objects.put(chunk_key(nobody, 1, "0" * 32), b"x")
    ports.objects.put(result_key(nobody, epoch=1, nonce="0" * 16, extension="csv"), b"x")
    ports.objects.begin_upload(result_key(nobody, epoch=2, nonce="0" * 16, extension="csv"), metadata={})


def _input_of(world: CloudRecorder, task: Task) -> list[ListedObject]:
    return list(world.ports().objects.list(input_folder(task.ref)))


def trigger_of(ports: Ports, task: Task) -> ManifestRef:
    return ManifestRef(task.ref, _row(ports, task).man_sha)


def _row(ports: Ports, task: Task) -> Task:
    row = ports.tasks.read(task.ref)
    assert row is not None
    return row


def _batch(text: str) -> Batch:
    return Batch.of_rows([(text,)], 1)
