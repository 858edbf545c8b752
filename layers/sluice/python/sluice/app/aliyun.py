"""The cloud's stores and the ports over them, opened from the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import NamedTuple

from sluice.adapters.aliyun.credentials import Credentials, CredentialsSource, EnvironmentCredentials, FixedCredentials
from sluice.adapters.aliyun.function_compute.manifest_put_invoker import ManifestPutInvoker
from sluice.adapters.aliyun.function_compute.oss_event import MakesEvents, TriggerBucket
from sluice.adapters.aliyun.function_compute.reading_event import ReadersAndComposers, ReadingEvents
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.links import OssLinks
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys
from sluice.adapters.aliyun.tablestore.schema import KEYS, TablestoreAccess
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.adapters.cached_keys import RememberedKeys
from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.directory.links import WatchAddresses
from sluice.adapters.forwarding_store import SplitStore
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.thread_pool import ThreadedPool
from sluice.adapters.workers.no_composers import NoComposers
from sluice.app.backend import PublicUrl, Stores, assemble_ports
from sluice.app.settings.validation import Settings, environment
from sluice.ports.bundle import Ports
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.key_store import KeyStore
from sluice.ports.object_store import ObjectStore

CLOUD = {"storage.backend": "oss"}
"""What a function's settings say whatever its variables do: it has no other stores."""


class AliyunBackend:
    """Objects in OSS, task rows and API keys in Tablestore; composers in Function Compute and in this process."""

    def open_stores(self, settings: Settings) -> AbstractContextManager[Stores]:
        return open_cloud_stores(settings, credentials_of(settings))

    def open_links(self, settings: Settings, public_url: PublicUrl) -> None:
        del settings, public_url  # OSS serves the files

    def open_watches(self, settings: Settings, public_url: PublicUrl) -> WatchAddresses | None:
        return watches_of(settings, public_url)

    def open_keys(self, settings: Settings) -> KeyStore:
        return open_cloud_keys(settings, credentials_of(settings))

    def place_of_keys(self, settings: Settings) -> str:
        if settings.security.api_keys_file:
            return str(settings.api_keys_path)
        return f"table {KEYS.name_by(settings.tablestore.table)} of instance {settings.tablestore.instance}"

    def tasks_file(self, settings: Settings) -> None:
        del settings  # the rows are in a table

    def open_disk(self, settings: Settings) -> None:
        del settings  # nothing is on this machine

    def tidy(self, settings: Settings) -> int:
        del settings
        return 0  # a killed process leaves nothing that a client could see


def watches_of(settings: Settings, public_url: PublicUrl) -> WatchAddresses | None:
    """Addresses that every process with the same ``security.watch_secret`` reads; None without it, or an address."""
    secret = settings.security.watch_secret
    return WatchAddresses(public_url, secret.reveal().encode()) if secret and public_url else None


@contextmanager
def open_cloud(
    settings: Settings, journal: Journal, *, credentials: CredentialsSource | None = None
) -> Iterator[Ports]:
    """Open the stores for a function, whose composers are started by the trigger alone."""
    with open_cloud_stores(settings, credentials or credentials_of(settings)) as stores:
        yield assemble_ports(settings, journal, stores)


@contextmanager
def open_cloud_stores(settings: Settings, credentials: CredentialsSource) -> Iterator[Stores]:
    """Open the stores that the settings name. Nothing is asked of them before the first call."""
    tasks = TablestoreTasks(tablestore_access(settings, credentials), timeout_s=settings.tablestore.timeout_s)
    objects = open_objects(settings, credentials)
    with closing(tasks):
        yield Stores(
            objects.store,
            tasks,
            objects.links,
            objects.pool,
            call_s=objects.call_s,
            invoker=partial(open_invoker, settings, credentials),
        )


class Objects(NamedTuple):
    """OSS, for a service whose rows are anywhere."""

    store: ObjectStore
    links: OssLinks
    pool: ThreadedPool
    call_s: float
    """The longest that one call may take."""


def open_objects(settings: Settings, credentials: CredentialsSource) -> Objects:
    """Open the buckets that the settings name. Nothing is asked of them before the first call."""
    oss = settings.oss
    results = oss.result_bucket or oss.bucket

    def store(bucket: str) -> OssStore:
        place = OssBucket(endpoint=oss.endpoint, region=oss.region, bucket=bucket, credentials=credentials)
        return OssStore(place, connect_timeout_s=oss.connect_timeout_s, read_timeout_s=oss.read_timeout_s)

    as_browsers_reach_it = OssBucket(
        endpoint=oss.download_domain or oss.download_endpoint or oss.endpoint,
        region=oss.region,
        bucket=results,
        credentials=credentials,
        is_domain=bool(oss.download_domain),
    )
    return Objects(
        SplitStore(input=store(oss.bucket), output=store(results)),
        OssLinks(as_browsers_reach_it, clock=SystemClock()),
        ThreadedPool(),
        oss.connect_timeout_s + oss.read_timeout_s,
    )


def open_cloud_keys(settings: Settings, credentials: CredentialsSource) -> KeyStore:
    """Open the table of API keys. A file that the settings name wins over it."""
    if settings.security.api_keys_file:
        return KeyFile(settings.api_keys_path)
    access = tablestore_access(settings, credentials)
    return RememberedKeys(TablestoreKeys(access, timeout_s=settings.tablestore.timeout_s), clock=SystemClock())


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


def open_invoker(settings: Settings, credentials: CredentialsSource, objects: ObjectStore) -> Invoker:
    """What asks for a reader of tables, and for a composer when the trigger was lost.

    Where no function reads tables, a call for one is dropped: no dataset is given there.
    """
    composers = _open_composers(settings, credentials, objects)
    url = settings.functions.extract_url
    readers = _by_http(settings, credentials, url, ReadingEvents()) if url else NoComposers()
    return ReadersAndComposers(readers=readers, composers=composers)


def _by_http(settings: Settings, credentials: CredentialsSource, url: str, events: MakesEvents) -> Invoker:
    from sluice.adapters.aliyun.function_compute.http_invoker import FcHttpInvoker  # noqa: PLC0415  # only its user loads it

    return FcHttpInvoker(
        url,
        events,
        credentials=credentials,
        clock=SystemClock(),
        randomness=SystemRandomness(),
        timeout_s=settings.functions.timeout_s,
    )


def _open_composers(settings: Settings, credentials: CredentialsSource, objects: ObjectStore) -> Invoker:
    """What asks for a composer; a vendor's SDK is loaded only where it is used."""
    functions, clock = settings.functions, SystemClock()
    bucket = TriggerBucket(name=settings.oss.bucket, region=settings.oss.region)
    match functions.invoker:
        case "http":
            return _by_http(settings, credentials, functions.compose_url, bucket)
        case "fc2":
            from sluice.adapters.aliyun.function_compute.fc2_invoker import Fc2Function, Fc2Invoker  # noqa: PLC0415  # the vendor's SDK of 2.0

            target = Fc2Function(functions.fc2_endpoint, functions.fc2_service, functions.fc2_function)
            return Fc2Invoker(target, bucket, credentials=credentials, clock=clock, timeout_s=functions.timeout_s)
        case _:
            return ManifestPutInvoker(objects)
