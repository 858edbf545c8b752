"""What a choice of ``storage.backend`` provides, and the ports of one process over the stores that it opens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sluice.adapters.forwarding_store import TriggeringStore
from sluice.adapters.retrying import RetryingStore, RetryingTasks
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.no_composers import NoComposers
from sluice.app.settings.validation import Settings
from sluice.domain.keys import TenantId
from sluice.ports.admission import Admission
from sluice.ports.bundle import Ports, always_room
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.key_store import KeyStore
from sluice.ports.object_store import MintsLinks, ObjectStore
from sluice.ports.pool import OrderedPool, nothing
from sluice.ports.retry import STORE_CALLS
from sluice.ports.task_store import TaskStore

if TYPE_CHECKING:
    from sluice.adapters.directory.atomic_file import DiskRoom
    from sluice.adapters.directory.links import LocalLinks, WatchAddresses

PublicUrl = str | Callable[[], str]
"""What links begin with; a function where it is known late."""


def no_composers(objects: ObjectStore) -> Invoker:
    """Start no composer: the service's own pool, or its sweeper, finds the task."""
    del objects
    return NoComposers()


class Stores(NamedTuple):
    """The stores of one process, each call tried once."""

    objects: ObjectStore
    tasks: TaskStore
    links: MintsLinks
    pool: OrderedPool
    """Calls to ``objects`` in parallel, where that pays."""
    call_s: float = 0
    """The longest that one call to ``objects`` takes before it gives up; 0 where calls do not wait."""
    invoker: Callable[[ObjectStore], Invoker] = no_composers
    """Starts a composer elsewhere when a trigger was lost; made over the objects as this process writes them."""
    has_room: Callable[[TenantId, int], bool] = always_room
    """As in the ports."""
    give_back_room: Callable[[], object] = nothing
    """As in the ports."""
    check_owner: Callable[[], None] = nothing
    """Raises ``ForeignObjects`` where ``objects`` belong to other rows, which their first change would meet too."""


class Backend(Protocol):
    """One choice of ``storage.backend``: where objects, task rows, links and API keys are."""

    def open_stores(self, settings: Settings) -> AbstractContextManager[Stores]:
        """Open the stores until the context ends. Raises ``ForeignObjects`` where the rows' objects are elsewhere.

        Nothing is asked of a remote store before the first call, unless the rows note another one.
        """

    def open_links(self, settings: Settings, public_url: PublicUrl) -> LocalLinks | None:
        """Links to files that this service serves itself below ``public_url``; None where the store serves them."""

    def open_watches(self, settings: Settings, public_url: PublicUrl) -> WatchAddresses | None:
        """Addresses below ``public_url`` at which a browser watches one export; None where none are offered."""

    def open_keys(self, settings: Settings) -> KeyStore:
        """Open the store of API keys."""

    def place_of_keys(self, settings: Settings) -> str:
        """Say where the API keys are, for people."""

    def tasks_file(self, settings: Settings) -> Path | None:
        """The file that holds the task rows; None where they are not in a file."""

    def open_disk(self, settings: Settings) -> DiskRoom | None:
        """The disk that rows or objects are on; None where none is on this machine."""

    def tidy(self, settings: Settings) -> int:
        """Remove what killed processes left half written a day ago; return the number of things removed."""


def assemble_ports(
    settings: Settings,
    journal: Journal,
    stores: Stores,
    *,
    composers: Invoker | None = None,
    admission: Admission | None = None,
) -> Ports:
    """Give use cases the stores, each idempotent call repeated as the settings say.

    ``composers`` are those of this process: putting a manifest starts one, as
    the trigger of a bucket would. The last try of a call begins early enough to
    end while its caller still waits.
    """
    clock, randomness = SystemClock(), SystemRandomness()
    rule = replace(
        STORE_CALLS,
        tries=settings.performance.retries + 1,
        within_s=max(0, settings.server.request_timeout_s - stores.call_s),
    )
    objects: ObjectStore = RetryingStore(stores.objects, clock=clock, randomness=randomness, rule=rule, journal=journal)
    if composers is not None:
        objects = TriggeringStore(objects, composers)
    return Ports(
        objects=objects,
        tasks=RetryingTasks(stores.tasks, clock=clock, randomness=randomness, rule=rule, journal=journal),
        links=stores.links,
        invoker=composers or stores.invoker(objects),
        admission=admission or NoComposers(),
        clock=clock,
        randomness=randomness,
        journal=journal,
        pool=stores.pool,
        has_room=stores.has_room,
        give_back_room=stores.give_back_room,
        limits=settings.limits(),
        timings=settings.timings(),
    )
