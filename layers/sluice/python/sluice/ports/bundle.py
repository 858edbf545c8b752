"""All ports together, as every use case receives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sluice.domain.events import Event
from sluice.domain.keys import TenantId
from sluice.domain.limits import Limits, Timings
from sluice.domain.pulled import Pulled
from sluice.domain.secret import Secret
from sluice.domain.target import TableTarget
from sluice.ports.admission import Admission
from sluice.ports.clock import Clock, Randomness
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.object_store import MintsLinks, ObjectStore
from sluice.ports.pool import OrderedPool, SerialPool, nothing
from sluice.ports.sink import Sink, SinkError
from sluice.ports.source import Source, SourceError
from sluice.ports.task_store import TaskStore


def always_room(tenant: TenantId, size: int) -> bool:
    """Say yes: the results of this process are on no disk of this machine."""
    del tenant, size
    return True


def no_sources(pulled: Pulled) -> Source:
    """Say that this process reads no tables."""
    raise SourceError(f"no definitions are here, and none of the connection {pulled.connection}")


def no_lookups(name: str) -> Source:
    """Say that this process looks up in no tables."""
    raise SourceError(f"no definitions are here, and no lookup {name}")


def no_sinks(target: TableTarget) -> Sink:
    """Say that this process loads no tables."""
    raise SinkError(f"no definitions are here, and none of the connection {target.connection}")


def no_keys(name: str) -> Secret:
    """Say that this process has no keys."""
    raise SourceError(f"there is no secret {name} here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a use case may touch. Nothing else leaves the process."""

    objects: ObjectStore
    tasks: TaskStore
    links: MintsLinks
    invoker: Invoker
    admission: Admission
    clock: Clock
    randomness: Randomness
    journal: Journal
    pool: OrderedPool = field(default_factory=SerialPool)
    has_room: Callable[[TenantId, int], bool] = always_room
    """Whether the store takes a result of so many bytes of the tenant now. Reserves nothing."""
    open_source: Callable[[Pulled], Source] = no_sources
    """The table that a task reads; nothing is opened yet. Raises ``SourceError`` for one that cannot be reached."""
    open_lookup: Callable[[str], Source] = no_lookups
    """The small table of a name, which steps look up in. Raises ``SourceError``."""
    open_sink: Callable[[TableTarget], Sink] = no_sinks
    """The table that a task's rows are loaded into; nothing is opened yet. Raises ``SinkError``."""
    find_key: Callable[[str], Secret] = no_keys
    """The key of masks of a name. Raises ``SourceError``."""
    source_pool: OrderedPool = field(default_factory=SerialPool)
    """Calls to sources, one by one, beside which a lease is kept."""
    give_back_room: Callable[[], object] = nothing
    """Gives room of task rows that are gone back to the disk, where they are on one; bounded, raises as a store."""
    limits: Limits = field(default_factory=Limits)
    timings: Timings = field(default_factory=Timings)

    def note_retry(self, error: Exception) -> None:
        """Record that a call that failed so is made again."""
        self.journal.record(Event.CALL_REPEATED, error=error)
