"""Who meets whom: the stores that the settings name, and the ports of one process over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice.adapters.directory.links import LocalLinks, load_or_create_secret
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.forwarding_store import TriggeringStore
from sluice.adapters.retrying_store import RetryingStore
from sluice.adapters.retrying_tasks import RetryingTasks
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.no_composers import NoComposers
from sluice.app.retrying import retrying_by
from sluice.app.settings.settings import Settings
from sluice.ports.admission import Admission
from sluice.ports.bundle import Ports
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal

TASKS_FILE = "tasks.sqlite3"
LINK_SECRET_FILE = "link.secret"  # noqa: S105 - the name of a file, not a secret


@contextmanager
def open_ports(
    settings: Settings,
    journal: Journal,
    *,
    invoker: Invoker | None = None,
    admission: Admission | None = None,
    links: LocalLinks | None = None,
) -> Iterator[Ports]:
    """Open the stores that ``storage.backend`` names; they close when the context ends.

    Putting a manifest rings ``invoker``, as the trigger of a bucket would.
    Without an invoker bells are dropped, and the sweeper of whichever process
    has composers finds the task; in the cloud the trigger and the functions
    have them. ``links`` are those of the embedded stores, relative unless given.
    """
    if settings.storage.backend == "oss":
        from sluice.app.aliyun import open_cloud  # noqa: PLC0415  # only who uses the cloud loads its SDKs

        with open_cloud(settings, journal, composers=invoker, admission=admission) as ports:
            yield ports
        return
    with _open_embedded(settings, journal, invoker=invoker, admission=admission, links=links) as ports:
        yield ports


@contextmanager
def _open_embedded(
    settings: Settings,
    journal: Journal,
    *,
    invoker: Invoker | None,
    admission: Admission | None,
    links: LocalLinks | None,
) -> Iterator[Ports]:
    root = make_root(settings)
    clock, randomness = SystemClock(), SystemRandomness()
    triggers = invoker or NoComposers()
    store = DirectoryStore(root, randomness=randomness)
    tasks = SqliteTasks(root / TASKS_FILE)
    retrying = retrying_by(settings, clock=clock, randomness=randomness)
    try:
        yield Ports(
            objects=TriggeringStore(RetryingStore(store, **retrying), triggers),
            tasks=RetryingTasks(tasks, **retrying),
            links=links or open_links(settings, ""),
            invoker=triggers,
            admission=admission or NoComposers(),
            clock=clock,
            randomness=randomness,
            journal=journal,
            limits=settings.limits(),
            timings=settings.timings(),
        )
    finally:
        tasks.close()


def open_links(settings: Settings, public_url: str | Callable[[], str]) -> LocalLinks:
    """Links to the embedded results, signed with the directory's secret; ``public_url`` may be known late."""
    secret = load_or_create_secret(make_root(settings) / LINK_SECRET_FILE, SystemRandomness())
    return LocalLinks(public_url, secret=secret, clock=SystemClock())


def make_root(settings: Settings) -> Path:
    """Make the data directory, for nobody but us to read."""
    settings.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.data_directory
