"""All ports together, as every use case receives them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.domain.events import Event
from sluice.domain.limits import Limits, Timings
from sluice.ports.admission import Admission
from sluice.ports.clock import Clock, Randomness
from sluice.ports.invoker import Invoker
from sluice.ports.journal import Journal
from sluice.ports.object_store import MintsLinks, ObjectStore
from sluice.ports.pool import OrderedPool, SerialPool
from sluice.ports.task_store import TaskStore


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
    limits: Limits = field(default_factory=Limits)
    timings: Timings = field(default_factory=Timings)

    def note_retry(self, error: Exception) -> None:
        """Record that a call that failed so is made again."""
        self.journal.record(Event.CALL_REPEATED, error=error)
