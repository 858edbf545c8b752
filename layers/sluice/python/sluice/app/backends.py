"""The choice of ``storage.backend``: the one place that maps a name to where a service keeps what it has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path

from sluice.adapters.directory.atomic_file import RESERVE_FILE, DiskRoom, make_folder
from sluice.adapters.directory.disk_shares import DiskShares
from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.directory.links import LocalLinks, WatchAddresses, load_or_create_secret
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.forwarding_store import RoomyStore, SplitStore
from sluice.adapters.owned_store import OwnedStore, settle_beside
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.api.auth import LOCAL_TENANT
from sluice.app.backend import Backend, PublicUrl, Stores, assemble_ports
from sluice.app.settings.validation import Settings, SettingsError
from sluice.domain.limits import DAY_S
from sluice.ports.admission import Admission
from sluice.ports.bundle import Ports
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.key_store import KeyStore
from sluice.ports.object_store import ObjectsPlace, ObjectStore
from sluice.ports.pool import SerialPool
from sluice.ports.store_errors import ForeignObjects, StoreError, StoreRefused

TASKS_FILE = "tasks.sqlite3"
OBJECTS_FOLDER = "objects"
BACKUP_MARKER = "backup.json"
"""In a folder that is a backup, and in one that is to become a backup or the copy of one."""
LINK_SECRET_FILE = "link.secret"  # noqa: S105 - the name of a file, not a secret


class OneMachine:
    """Task rows and API keys as files of one machine's data directory, wherever its objects are."""

    def open_tasks(self, settings: Settings) -> SqliteTasks:
        """Open the file of task rows, made in a new directory. Raises ``StoreRefused`` where rows would be missing."""
        root = make_root(settings)
        # In this order: a service has its rows' file before it puts an object.
        if any(names for _, _, names in os.walk(root / OBJECTS_FOLDER)) and not self.tasks_file(settings).exists():
            raise StoreRefused(
                f"{root} has objects and no {TASKS_FILE}, whose rows say what they are: its restore was cut off, or "
                "the file was removed. Restore into a new folder, or put the file back"
            )
        disk = self.open_disk(settings)
        return SqliteTasks(
            self.tasks_file(settings),
            make_room=disk.give_up_reserve,
            check_room=disk.check,
            has_room=disk.has_room,
        )

    def open_keys(self, settings: Settings) -> KeyStore:
        return KeyFile(settings.api_keys_path, beside=settings.data_directory)

    def place_of_keys(self, settings: Settings) -> str:
        return str(settings.api_keys_path)

    def tasks_file(self, settings: Settings) -> Path:
        return settings.data_directory / TASKS_FILE

    def open_disk(self, settings: Settings) -> DiskRoom:
        return DiskRoom(make_root(settings), min_free_bytes=settings.storage.min_free_bytes)

    def open_links(self, settings: Settings, public_url: PublicUrl) -> LocalLinks | None:
        del settings, public_url
        return None  # a remote store serves the files

    def open_watches(self, settings: Settings, public_url: PublicUrl) -> WatchAddresses:
        shared = settings.security.watch_secret
        return WatchAddresses(public_url, shared.reveal().encode() if shared else _link_secret(settings))

    def tidy(self, settings: Settings) -> int:
        """Of files beside the objects: what was begun aside and never got its name.

        In a remote store a killed process leaves uploads, which are collected with their tasks.
        """
        removed, before = 0, SystemClock().now() - DAY_S
        begun = (f"{RESERVE_FILE}.*.part", f".{TASKS_FILE}.*", f".{LINK_SECRET_FILE}.*")
        for left in chain.from_iterable(map(settings.data_directory.glob, begun)):
            with suppress(OSError):
                if left.stat(follow_symlinks=False).st_mtime < before:
                    left.unlink()
                    removed += 1
        return removed


def _link_secret(settings: Settings) -> bytes:
    return load_or_create_secret(make_root(settings) / LINK_SECRET_FILE, SystemRandomness())


class DirectoryBackend(OneMachine):
    """Everything in the data directory of one machine."""

    @contextmanager
    def open_stores(self, settings: Settings) -> Iterator[Stores]:
        root, disk = make_root(settings), self.open_disk(settings)
        store = DirectoryStore(root, randomness=SystemRandomness(), check_room=disk.check_result)
        shares = DiskShares(
            root / OBJECTS_FOLDER,
            disk,
            leaves_bytes=settings.storage.tenant_leaves_bytes,
            alone=LOCAL_TENANT,
            monotonic=SystemClock().monotonic,
        )
        objects = RoomyStore(store, disk.check, shares.check)
        with closing(self.open_tasks(settings)) as tasks:
            settle_beside(tasks, store, objects_place(settings))
            yield Stores(
                objects,
                tasks,
                self.open_links(settings, ""),
                SerialPool(),
                has_room=shares.has_room,
                give_back_room=tasks.give_back_room,
            )

    def open_links(self, settings: Settings, public_url: PublicUrl) -> LocalLinks:
        return LocalLinks(public_url, secret=_link_secret(settings), clock=SystemClock())

    def tidy(self, settings: Settings) -> int:
        store = DirectoryStore(settings.data_directory, randomness=SystemRandomness())
        return super().tidy(settings) + store.remove_leftovers(now=SystemClock().now(), older_than_s=DAY_S)


class S3Backend(OneMachine):
    """Objects and links in S3, GCS or Azure; task rows and API keys in the data directory of one machine."""

    @contextmanager
    def open_stores(self, settings: Settings) -> Iterator[Stores]:
        try:
            from sluice.adapters.s3.bucket import S3Place  # noqa: PLC0415  # loads obstore
            from sluice.adapters.s3.store import S3Links, S3Store  # noqa: PLC0415  # loads obstore
            from sluice.adapters.thread_pool import ThreadedPool  # noqa: PLC0415  # loads a megabyte
        except ModuleNotFoundError as error:
            raise SettingsError(["storage.backend: s3 needs the extra, pip install 'sluice[s3]'"]) from error

        s3, repeats = settings.s3, settings.performance.retries

        def place(url: str, endpoint: str) -> S3Place:
            timeouts = {"connect_timeout_s": s3.connect_timeout_s, "read_timeout_s": s3.read_timeout_s}
            return S3Place(url=url, region=s3.region, endpoint=endpoint, **timeouts)

        objects: ObjectStore = S3Store(place(s3.url, s3.endpoint), randomness=SystemRandomness(), repeats=repeats)
        result_url = s3.result_url or s3.url
        if result_url != s3.url:
            results = S3Store(place(result_url, s3.endpoint), randomness=SystemRandomness(), repeats=repeats)
            objects = SplitStore(input=objects, output=results)
        links = S3Links(place(result_url, s3.download_endpoint or s3.endpoint), clock=SystemClock())
        with closing(self.open_tasks(settings)) as tasks:
            owned = own(objects, tasks, settings)
            call_s = s3.connect_timeout_s + s3.read_timeout_s
            stores = Stores(owned, tasks, links, ThreadedPool(), call_s=call_s, check_owner=owned.check)
            yield stores._replace(give_back_room=tasks.give_back_room)


class OssFilesBackend(OneMachine):
    """Objects and links in OSS; task rows and API keys in the data directory of one machine."""

    @contextmanager
    def open_stores(self, settings: Settings) -> Iterator[Stores]:
        from sluice.app.aliyun import credentials_of, open_objects  # noqa: PLC0415  # loads the cloud's SDKs

        objects = open_objects(settings, credentials_of(settings))
        with closing(self.open_tasks(settings)) as tasks:
            owned = own(objects.store, tasks, settings)
            stores = Stores(owned, tasks, objects.links, objects.pool, call_s=objects.call_s, check_owner=owned.check)
            yield stores._replace(give_back_room=tasks.give_back_room)


def own(objects: ObjectStore, tasks: SqliteTasks, settings: Settings) -> OwnedStore:
    """A bucket for the rows of one data directory; many directories may be set to the same one by mistake."""
    proposed = SystemRandomness().bytes(16).hex()
    return OwnedStore(objects, tasks, proposed=proposed, place=objects_place(settings), clock=SystemClock())


def objects_place(settings: Settings) -> ObjectsPlace:
    """Say which store the settings of one machine name."""
    backend, s3, oss = settings.storage.backend, settings.s3, settings.oss
    names = {
        "s3": (s3.url, s3.result_url or s3.url),
        "oss_files": (f"the bucket {oss.bucket}", f"the bucket {oss.result_bucket or oss.bucket}"),
    }
    return ObjectsPlace(backend, " or ".join(dict.fromkeys(names.get(backend, ()))))


def _aliyun() -> Backend:
    from sluice.app.aliyun import AliyunBackend  # noqa: PLC0415  # loads the cloud's SDKs

    return AliyunBackend()


BACKENDS: Mapping[str, Callable[[], Backend]] = {
    "directory": DirectoryBackend,
    "oss": _aliyun,
    "oss_files": OssFilesBackend,
    "s3": S3Backend,
}
"""By ``storage.backend``; what a name means for other settings is in ``settings/schema.BACKENDS``."""


def backend_of(settings: Settings) -> Backend:
    """Give the backend that the settings name; only now are its libraries loaded."""
    return BACKENDS[settings.storage.backend]()


@contextmanager
def open_ports(
    settings: Settings,
    journal: Journal,
    *,
    invoker: Invoker | None = None,
    admission: Admission | None = None,
    links: LocalLinks | None = None,
    checks_owner: bool = False,
) -> Iterator[Ports]:
    """Open the stores that ``storage.backend`` names; they close when the context ends.

    Putting a manifest calls ``invoker``, as the trigger of a bucket would.
    Without an invoker that call is dropped, and the sweeper of a process that
    has composers finds the task; in the cloud the trigger and the functions
    have them. ``links`` replace those of the backend. ``checks_owner``: raises
    ``ForeignObjects`` at once, and not at the first change, where the objects
    are those of other rows; a store that is away then is no error yet.
    """
    with backend_of(settings).open_stores(settings) as stores:
        if checks_owner:
            _refuse_foreign(stores)
        opened = stores if links is None else stores._replace(links=links)
        yield assemble_ports(settings, journal, opened, composers=invoker, admission=admission)


def _refuse_foreign(stores: Stores) -> None:
    try:
        stores.check_owner()
    except ForeignObjects:
        raise
    except StoreError:
        pass  # away, or it does not let us in, which readiness says


def make_root(settings: Settings) -> Path:
    """Make the data directory, its owner's alone. Raises ``StoreRefused`` for a backup and half a restore."""
    root = settings.data_directory
    if (root / BACKUP_MARKER).exists():
        raise StoreRefused(f"{root} is a backup, or half a restore: sluice restore BACKUP --data NEW copies a backup")
    make_folder(root.absolute(), os.fsync)
    return root
