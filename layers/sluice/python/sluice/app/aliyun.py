"""The cloud's stores and the ports over them, opened from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sluice.adapters.aliyun.credentials import Credentials, CredentialsSource, EnvironmentCredentials, FixedCredentials
from sluice.adapters.aliyun.function_compute.manifest_put_invoker import ManifestPutInvoker
from sluice.adapters.aliyun.function_compute.oss_event import TriggerBucket
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.links import OssLinks
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.adapters.forwarding_store import SplitStore, TriggeringStore
from sluice.adapters.retrying_store import RetryingStore
from sluice.adapters.retrying_tasks import RetryingTasks
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.thread_pool import ThreadedPool
from sluice.adapters.workers.no_composers import NoComposers
from sluice.app.retrying import retrying_by
from sluice.app.settings.settings import Settings, environment
from sluice.ports.admission import Admission
from sluice.ports.bundle import Ports
from sluice.ports.clock import Clock, Randomness
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.object_store import ObjectStore


@contextmanager
def open_cloud(
    settings: Settings,
    journal: Journal,
    *,
    credentials: CredentialsSource | None = None,
    composers: Invoker | None = None,
    admission: Admission | None = None,
) -> Iterator[Ports]:
    """Open the stores that the settings name. Nothing is asked of them before the first call.

    ``composers`` are those of this very process, rung whenever it puts a
    manifest, beside whatever the bucket's trigger starts. Without them the
    trigger rings, and what ``functions.invoker`` names rings for the sweeper.
    """
    clock, randomness = SystemClock(), SystemRandomness()
    try_s = settings.oss.connect_timeout_s + settings.oss.read_timeout_s
    retrying = retrying_by(settings, clock=clock, randomness=randomness, try_s=try_s)
    source = credentials or credentials_of(settings)
    objects: ObjectStore = RetryingStore(_both_buckets(settings, source), **retrying)
    if composers is not None:
        objects = TriggeringStore(objects, composers)
    with ExitStack() as stack:
        tasks = TablestoreTasks(tablestore_access(settings, source), timeout_s=settings.tablestore.timeout_s)
        stack.callback(tasks.close)
        yield Ports(
            objects=objects,
            tasks=RetryingTasks(tasks, **retrying),
            links=OssLinks(_download_bucket(settings, source), clock=clock),
            invoker=composers or open_invoker(settings, objects, credentials=source, clock=clock, chance=randomness),
            admission=admission or NoComposers(),
            clock=clock,
            randomness=randomness,
            journal=journal,
            lanes=ThreadedPool(),
            limits=settings.limits(),
            timings=settings.timings(),
        )


def credentials_of(settings: Settings) -> CredentialsSource:
    """Who we are: the access key of the settings, or else what the platform puts into the environment."""
    return fixed_credentials(settings) or EnvironmentCredentials(environment())


def fixed_credentials(settings: Settings) -> FixedCredentials | None:
    """The access key of the settings, if there is one."""
    oss = settings.oss
    if not oss.access_key_id:
        return None
    return FixedCredentials(Credentials(oss.access_key_id.reveal(), oss.access_key_secret, oss.security_token))


def tablestore_access(settings: Settings, credentials: CredentialsSource) -> TablestoreAccess:
    """Where the tasks are kept. Tablestore is in the region of the buckets, to be near them."""
    return TablestoreAccess(
        endpoint=settings.tablestore.endpoint,
        instance=settings.tablestore.instance,
        region=settings.oss.region,
        table=settings.tablestore.table,
        credentials=credentials,
    )


def open_invoker(
    settings: Settings, objects: ObjectStore, *, credentials: CredentialsSource, clock: Clock, chance: Randomness
) -> Invoker:
    """What rings for a composer when the trigger was not heard; a vendor's SDK is loaded only by who uses it."""
    functions = settings.functions
    bucket = TriggerBucket(name=settings.oss.bucket, region=settings.oss.region)
    match functions.invoker:
        case "http":
            from sluice.adapters.aliyun.function_compute.http_invoker import FcHttpInvoker  # noqa: PLC0415  # as above

            return FcHttpInvoker(
                functions.compose_url,
                bucket,
                credentials=credentials,
                clock=clock,
                randomness=chance,
                timeout_s=functions.timeout_s,
            )
        case "fc2":
            from sluice.adapters.aliyun.function_compute.fc2_invoker import Fc2Function, Fc2Invoker  # noqa: PLC0415  # as above

            target = Fc2Function(functions.fc2_endpoint, functions.fc2_service, functions.fc2_function)
            return Fc2Invoker(target, bucket, credentials=credentials, clock=clock, timeout_s=functions.timeout_s)
        case _:
            return ManifestPutInvoker(objects)


def _both_buckets(settings: Settings, credentials: CredentialsSource) -> SplitStore:
    oss = settings.oss

    def store(bucket: str) -> OssStore:
        place = OssBucket(endpoint=oss.endpoint, region=oss.region, bucket=bucket, credentials=credentials)
        return OssStore(place, connect_timeout_s=oss.connect_timeout_s, read_timeout_s=oss.read_timeout_s)

    return SplitStore(input=store(oss.bucket), output=store(oss.result_bucket))


def _download_bucket(settings: Settings, credentials: CredentialsSource) -> OssBucket:
    """The bucket of results as browsers reach it."""
    oss = settings.oss
    return OssBucket(
        endpoint=oss.download_domain or oss.download_endpoint or oss.endpoint,
        region=oss.region,
        bucket=oss.result_bucket,
        credentials=credentials,
        is_domain=bool(oss.download_domain),
    )
