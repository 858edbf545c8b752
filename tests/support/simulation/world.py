"""Everything outside the production code, held still and watched: stores, time, chance, bells."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from sluice.adapters.forwarding_store import TriggeringStore
from sluice.adapters.retrying import RetryingStore, RetryingTasks
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TenantId
from sluice.domain.limits import Limits, Timings
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import StoreError
from sluice.ports.task_store import TaskStore
from tests.support.simulation.gated_ports import Gate, GatedInvoker, GatedLinks, GatedObjects, GatedTasks
from tests.support.simulation.loaded_table import BROKE_OFF, LoadedTable, LoadingSink
from tests.support.simulation.moving_table import MovingSource, MovingTable
from tests.support.simulation.oracle import Violation
from tests.support.simulation.watched_stores import WatchedStore, WatchedTasks

START = 1_700_000_000.0

LIMITS = Limits(part_bytes_min=16, parts_max=60, batch_rows_max=100)
"""Parts so small that every file has several, and so few that those of a workbook have a KiB, not 16 bytes."""

TIMINGS = Timings(
    lease_s=10,
    skew_s=2,
    heartbeat_s=2,
    trigger_grace_s=15,
    attempts_max=6,
    outage_s=60,
    backoff_s=2,
    backoff_max_s=20,
    idle_s=5_000,
    retention_s=50_000,
    link_s=100,
    gc_delays_s=(500, 2_000),
    tombstone_s=100_000,
)


class TrueTime:
    """The world's time. It passes only when the scheduler says so."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.jumped_s = 0.0
        """How far every machine's wall clock is set wrong."""

    def now(self) -> float:
        return START + self.passed_s

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds


class ActorClock:
    """One machine's clock: off by ``skew_s``. Sleeping lets others run."""

    def __init__(self, true: TrueTime, *, skew_s: float, pause: Callable[[float], None]) -> None:
        self._true = true
        self._skew_s = skew_s
        self._pause = pause

    def now(self) -> float:
        return self._true.now() + self._true.jumped_s + self._skew_s

    def monotonic(self) -> float:
        return self._true.monotonic()

    def sleep(self, seconds: float) -> None:
        self._pause(seconds)


class WorldChance:
    """The production code's randomness, repeatable."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)

    def fraction(self) -> float:
        return self._chance.random()

    def become(self, other: WorldChance) -> None:
        """Go on as another would."""
        self._chance.setstate(other._chance.getstate())


class StrictJournal:
    def record(self, event: Event, **fields: object) -> None:
        """Drop it, as the port allows; but what the code recorded as unforeseen and went on from is a bug here."""
        error = fields.get("error")
        if fields.get("reason") == BROKE_OFF:
            return
        if event is Event.SYSTEM_ERROR and not isinstance(error, StoreError | SluiceError):
            raise Violation(f"an error that was not foreseen: {error!r}")


class OpenDoor:
    def admit(self, tenant: TenantId) -> None:
        """Let everybody in."""

    def has_room(self, tenant: TenantId) -> bool:
        return True


class Doorbell:
    """What a put manifest and the sweeper ring. Bells lie in ``waiting`` until the scheduler delivers them.

    With ``chance`` some are doubled and some are lost, with those that wait.
    """

    def __init__(self, chance: random.Random | None) -> None:
        self._chance = chance
        self.waiting: list[ManifestRef] = []
        self.heard: list[ManifestRef] = []

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        self.waiting.append(manifest)
        self.heard.append(manifest)
        if self._chance is None:
            return
        if self._chance.random() < 0.3:
            self.waiting.append(manifest)
        if self._chance.random() < 0.2:
            self.waiting.clear()


class World:
    """The stores and what is true of them; ``ports`` gives an actor its view of it.

    With ``chance`` bells are doubled and lost, and the sweeper's index lags.
    """

    def __init__(
        self,
        seed: int,
        *,
        time: TrueTime,
        gate: Gate,
        pause: Callable[[float], None],
        chance: random.Random | None = None,
        limits: Limits = LIMITS,
        tasks_type: type[WatchedTasks] = WatchedTasks,
    ) -> None:
        self.time = time
        self.store = WatchedStore(clock=self.time, idle_s=TIMINGS.idle_s)
        self.oracle = self.store.oracle
        self.tasks = tasks_type(self.oracle, index_lag=chance)
        self.triggers = Doorbell(chance)
        self.table = MovingTable()
        self.target = LoadedTable()
        self.oracle.loaded = self.target.rows_of
        self.oracle.still, self.oracle.moments = self.table.still(), self.table.moments
        self.retries = True
        """Whether the stores are wrapped in what repeats idempotent calls, as in production."""
        self.full_until = 0.0
        """Until then there is no room for a result."""
        self._timings = TIMINGS
        self._wired: dict[float, Ports] = {}
        self._limits = limits
        self._gate = gate
        self._pause = pause
        self._randomness = WorldChance(seed)

    def become(self, other: World) -> None:
        """Start where another world stands."""
        self.time.passed_s = other.time.passed_s
        self.full_until = other.full_until
        self.store.become(other.store)
        self.tasks.become(other.tasks)
        self.triggers.waiting = list(other.triggers.waiting)
        self.triggers.heard = list(other.triggers.heard)
        self.table.become(other.table)
        self.target.become(other.target)
        self._randomness.become(other._randomness)

    def bear_outages_for(self, seconds: float) -> None:
        """Let attempts that do not count against a task be made for longer than it takes to use the others up."""
        self._timings = msgspec.structs.replace(TIMINGS, outage_s=seconds)
        self._wired.clear()

    def ports(self, *, skew_s: float = 0.0) -> Ports:
        """The ports of one process whose clock is off by ``skew_s``, wired as in production."""
        if skew_s not in self._wired:
            self._wired[skew_s] = self._wire(skew_s)
        return self._wired[skew_s]

    def _wire(self, skew_s: float) -> Ports:
        clock = ActorClock(self.time, skew_s=skew_s, pause=self._pause)
        objects: ObjectStore = GatedObjects(TriggeringStore(self.store, self.triggers), self._gate)
        tasks: TaskStore = GatedTasks(self.tasks, self._gate)
        if self.retries:
            objects = RetryingStore(objects, clock=clock, randomness=self._randomness)
            tasks = RetryingTasks(tasks, clock=clock, randomness=self._randomness)
        return Ports(
            objects=objects,
            tasks=tasks,
            links=GatedLinks(self.store, self._gate),
            invoker=GatedInvoker(self.triggers, self._gate),
            admission=OpenDoor(),
            clock=clock,
            randomness=self._randomness,
            journal=StrictJournal(),
            open_source=lambda pulled: MovingSource(self.table, pulled, self._gate),
            open_sink=lambda _: LoadingSink(self.target, self._gate),
            has_room=lambda *_: self.time.passed_s >= self.full_until,
            limits=self._limits,
            timings=self._timings,
        )
