"""Every port in memory, with a clock that stands still until it is told."""

from __future__ import annotations

from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.adapters.workers.no_composers import NoComposers
from sluice.ports.bundle import Ports
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_journal import RecordedJournal


def memory_ports(clock: FakeClock) -> Ports:
    """Ports for one test of use cases that needs no schedule and no oracle."""
    store, composers = MemoryStore(clock=clock), NoComposers()
    return Ports(
        objects=store,
        tasks=MemoryTasks(),
        links=store,
        invoker=composers,
        admission=composers,
        clock=clock,
        randomness=SeededRandomness(),
        journal=RecordedJournal(),
    )
