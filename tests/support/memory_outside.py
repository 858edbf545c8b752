"""Every port in memory, with a clock that stands still until it is told."""

from __future__ import annotations

from sluice.adapters.memory.memory_store import MemoryStore
from sluice.adapters.memory.memory_tasks import MemoryTasks
from sluice.adapters.workers.no_composers import NoComposers
from sluice.ports.outside import Outside
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_journal import RecordedJournal


def memory_outside(clock: FakeClock) -> Outside:
    """Ports for one test of use cases that needs no schedule and no oracle."""
    store, composers = MemoryStore(clock=clock), NoComposers()
    return Outside(
        objects=store,
        tasks=MemoryTasks(),
        links=store,
        invoker=composers,
        admission=composers,
        clock=clock,
        randomness=SeededRandomness(),
        journal=RecordedJournal(),
    )
