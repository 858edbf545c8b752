"""Runs actors over a world, one call at a time, in an order and with faults that a seed or a script decides."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef
from sluice.domain.limits import Limits
from sluice.ports.store_errors import OutcomeUnknown, StoreError, StoreFull
from sluice.usecases.params_cache import ParamsCache
from tests.support.simulation.actors import Actor, Request, ask
from tests.support.simulation.faults import Crashed, Fault, FaultPlan, NoFaults
from tests.support.simulation.oracle import Violation
from tests.support.simulation.watched_stores import WatchedTasks
from tests.support.simulation.world import LIMITS, TIMINGS, TrueTime, World

PAUSE = "sleep"
FULL_S = 300.0
"""How long a disk stays full: several times as long as a task is put off."""
SILENT_CALLS = ("compose", "sweep")
"""Actors that have nobody to answer: a ``SluiceError`` from them is a bug."""


class Stores(NamedTuple):
    """What stands for the stores, and how they are watched; the default keeps every promise of the ports."""

    tasks_type: type[WatchedTasks] = WatchedTasks
    checks_names: bool = True
    """Whether a result's key must name the attempt that finished."""


class Flight(NamedTuple):
    """A request whose sender no longer waits."""

    request: Request
    sent: int
    """The number of its call."""


class Simulation:
    """One run. ``calls`` numbers the calls to the stores from 0; ``trace`` says what each was and how it went."""

    def __init__(
        self,
        seed: int = 0,
        *,
        plan: FaultPlan | None = None,
        chaotic: bool = False,
        limits: Limits = LIMITS,
        stores: Stores | None = None,
    ) -> None:
        stores = stores or Stores()
        self.chance = random.Random(seed)
        self.plan: FaultPlan = plan or NoFaults()
        self.chaotic = chaotic
        time = TrueTime()
        self.world = World(
            seed,
            time=time,
            gate=ask,
            pause=lambda seconds: ask(PAUSE, lambda: time.sleep(seconds)),
            chance=self.chance if chaotic else None,
            limits=limits,
            tasks_type=stores.tasks_type,
        )
        self.oracle = self.world.oracle
        self.oracle.checks_names = stores.checks_names
        self.warm = ParamsCache(self.world.ports())  # what a relay that has been running for a while remembers
        self.actors: list[Actor] = []
        self.flights: list[Flight] = []
        self.fills_disk = False
        """Whether a part that is not taken met a full disk, which stays full for a while."""
        self.landing_delay: int | None = None
        self.landed_delayed = 0
        """How many requests landed for that delay, and not because nobody was running."""
        self.calls = 0
        self.trace: list[tuple[str, str, str]] = []
        self.exposed: list[str] = []
        """What the calls were that a plan of faults was asked about, by number: those of the end never fail."""

    # Actors.

    def spawn(self, name: str, work: Callable[[], object]) -> Actor:
        actor = Actor(name, work)
        self.actors.append(actor)
        return actor

    def step(self, actor: Actor) -> None:
        """Let ``actor`` make its next call."""
        request = actor.request()
        if request is None:
            self._end(actor)
            return
        if request.call == PAUSE:
            request.action()
            actor.answer(None)
        else:
            self._call(actor, request)
        if actor.done:
            self._end(actor)

    def advance(self, actor: Actor, calls: int) -> None:
        """Let ``actor`` make its next ``calls`` calls, or as many as it has left."""
        until = self.calls + calls
        while self.calls < until and not actor.done:
            self.step(actor)

    def finish(self, actor: Actor) -> Actor:
        """Let ``actor`` run to its end."""
        while not actor.done:
            self.step(actor)
        return actor

    def kill(self, actor: Actor) -> None:
        """End an actor's process between two calls."""
        if actor.request() is not None:
            actor.refuse(Crashed())
        self._end(actor)

    def live(self) -> list[Actor]:
        return [actor for actor in self.actors if not actor.done]

    def _call(self, actor: Actor, request: Request) -> None:
        fault = self.plan.choose(self.calls)
        if not isinstance(self.plan, NoFaults):
            self.exposed.append(request.call)
        self.calls += 1
        self.trace.append((actor.name, request.call, fault.value))
        self._tick()
        self._land_delayed()
        value: object = None
        refusal: BaseException | None = None
        if fault.applies:
            try:
                value = request.action()
            except StoreError as error:
                refusal = error
        elif fault.lands_later:
            self.flights.append(Flight(request, self.calls))
        if fault.crashes:
            refusal = Crashed()
        elif fault is not Fault.OK and request.call != "invoke":  # an invoker never raises: its bell is just lost
            refusal = OutcomeUnknown(request.call)
            if self.fills_disk and fault is Fault.ERR_BEFORE and request.call == "objects.put_part":
                self.world.full_until = self.world.time.passed_s + FULL_S
                refusal = StoreFull(code="ENOSPC")
        if refusal is None:
            actor.answer(value)
        else:
            actor.refuse(refusal)

    def _land_delayed(self) -> None:
        if self.landing_delay is None:
            return
        while self.flights and self.flights[0].sent + self.landing_delay < self.calls:
            self.landed_delayed += 1
            self.land()

    def _tick(self) -> None:
        self.world.time.passed_s += self.chance.choice((0, 0, 0.5, 1, 3)) if self.chaotic else 1

    def _end(self, actor: Actor) -> None:
        """Judge how an actor ended."""
        self.actors.remove(actor)
        error = actor.error
        self.trace.append((actor.name, "end", type(error).__name__ if error else repr(actor.result)))
        if error is None or isinstance(error, Crashed | StoreError):
            return
        if isinstance(error, SluiceError) and error.code in ErrorCode and not actor.name.startswith(SILENT_CALLS):
            return
        raise Violation(f"{actor.name} raised {error!r}") from error

    # Time, and what is on its way.

    def pass_time(self, seconds: float) -> None:
        self.world.time.passed_s += seconds

    def lapse(self) -> None:
        """Let every lease and every grace run out."""
        self.pass_time(TIMINGS.lease_s + TIMINGS.skew_s + TIMINGS.trigger_grace_s + 1)

    def land(self, index: int = 0) -> None:
        """Let a request arrive whose sender no longer waits."""
        request = self.flights.pop(index).request
        try:
            request.action()
        except StoreError as error:
            self.trace.append(("network", request.call, type(error).__name__))
        else:
            self.trace.append(("network", request.call, "landed"))

    def land_all(self) -> None:
        while self.flights:
            self.land()

    # What is true.

    def state(self, ref: TaskRef) -> str:
        task = self.world.tasks.read(ref)
        return "" if task is None else task.state.value

    def fingerprint(self) -> str:
        """A digest of everything that happened, equal for equal runs."""
        rows = sorted(self.world.tasks.scan(), key=lambda task: task.ref)
        objects = [item.key for item in self.world.store.list("")]
        return hashlib.sha256(repr((self.trace, rows, objects)).encode()).hexdigest()
