"""The choice of ``storage.backend``: the one place that maps a name to where a service keeps what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.directory.links import LocalLinks, load_or_create_secret
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.app.backend import Backend, PublicUrl, Stores, assemble_ports
from sluice.app.settings.settings import Settings
from sluice.domain.limits import DAY_S
from sluice.ports.admission import Admission
from sluice.ports.bundle import Ports
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.key_store import KeyStore
from sluice.ports.pool import SerialPool

TASKS_FILE = "tasks.sqlite3"
LINK_SECRET_FILE = "link.secret"  # noqa: S105 - the name of a file, not a secret


class DirectoryBackend:
    """Everything in the data directory of one machine."""

    @contextmanager
    def open_stores(self, settings: Settings) -> Iterator[Stores]:
        objects = DirectoryStore(make_root(settings), randomness=SystemRandomness())
        with closing(SqliteTasks(self.tasks_file(settings))) as tasks:
            yield Stores(objects, tasks, self.open_links(settings, ""), SerialPool())

    def open_links(self, settings: Settings, public_url: PublicUrl) -> LocalLinks:
        secret = load_or_create_secret(make_root(settings) / LINK_SECRET_FILE, SystemRandomness())
        return LocalLinks(public_url, secret=secret, clock=SystemClock())

    def open_keys(self, settings: Settings) -> KeyStore:
        return KeyFile(settings.api_keys_path)

    def place_of_keys(self, settings: Settings) -> str:
        return str(settings.api_keys_path)

    def tasks_file(self, settings: Settings) -> Path:
        return settings.data_directory / TASKS_FILE

    def tidy(self, settings: Settings) -> int:
        store = DirectoryStore(settings.data_directory, randomness=SystemRandomness())
        return store.remove_leftovers(now=SystemClock().now(), older_than_s=DAY_S)


def _aliyun() -> Backend:
    from sluice.app.aliyun import AliyunBackend  # noqa: PLC0415  # loads the cloud's SDKs

    return AliyunBackend()


BACKENDS: Mapping[str, Callable[[], Backend]] = {"directory": DirectoryBackend, "oss": _aliyun}
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
) -> Iterator[Ports]:
    """Open the stores that ``storage.backend`` names; they close when the context ends.

    Putting a manifest calls ``invoker``, as the trigger of a bucket would.
    Without an invoker that call is dropped, and the sweeper of a process that
    has composers finds the task; in the cloud the trigger and the functions
    have them. ``links`` replace those of the backend.
    """
    with backend_of(settings).open_stores(settings) as stores:
        opened = stores if links is None else stores._replace(links=links)
        yield assemble_ports(settings, journal, opened, composers=invoker, admission=admission)


def make_root(settings: Settings) -> Path:
    """Make the data directory, which only its owner may read."""
    settings.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.data_directory
