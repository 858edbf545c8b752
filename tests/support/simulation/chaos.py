"""Random runs: any order, any pause, any fault, repeatable by its seed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

import msgspec

from sluice.domain.keys import ManifestRef, TaskRef
from tests.support.simulation.actions import Action, Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.faults import FAULTS, RandomFaults
from tests.support.simulation.sender import Op, Script, Sender, code_of, sheet_of, table
from tests.support.simulation.settling import is_at_rest, recover, settle
from tests.support.simulation.simulation import Simulation, Stores
from tests.support.simulation.world import LIMITS, TIMINGS

STEPS_MAX = 3_000
IDLE_MAX = 60
"""Rounds without anybody to run, once every party has its answer."""
FAULT_RATES = (0.0, 0.02, 0.06, 0.15, 0.4)


class Chaos(NamedTuple):
    """What happens besides a sender, composers, sweepers and readers."""

    name: str
    batches: int = 4
    sheets: int = 1
    """Tables that the task declares; its batches take turns."""
    cancel: bool = False
    delete: bool = False
    conflict: bool = False
    """Another sender puts other rows under the same sequences, or the same rows for another table."""
    extra: bool = False
    """A batch beyond the total arrives while the task is being closed."""
    supervise: bool = False
    """A supervisor frees tasks from composers that may be alive; an operator rings."""
    render: bool = False
    reconcile: bool = False
    idle: bool = False
    """The sender may take longer than an open task is kept."""
    share: int = 0
    """How many of the tenant's tasks may be composed at a time; 0 for any number."""
    twins: int = 0
    """Further senders of the same rows, whose tasks may have one file."""
    full_disk: bool = False
    """Parts of results meet a full disk."""
    sweeping: bool = True


SHARED_MIX = Chaos("shared", batches=2, cancel=True, delete=True, supervise=True, reconcile=True, twins=2)
MIXES = (
    Chaos("plain"),
    SHARED_MIX,
    Chaos("cancel", cancel=True),
    Chaos("conflict and extra", conflict=True, extra=True),
    Chaos("supervised", supervise=True),
    Chaos("full disk", supervise=True, full_disk=True),
    Chaos("render again", batches=2, render=True, supervise=True, delete=True, share=1),
    Chaos(
        "everything",
        batches=6,
        cancel=True,
        delete=True,
        conflict=True,
        extra=True,
        supervise=True,
        render=True,
        reconcile=True,
        idle=True,
        share=2,
    ),
)

SHEETS_MIX = Chaos("two sheets", sheets=2, cancel=True, conflict=True, extra=True, supervise=True, render=True)
"""Apart from the others, because to compose a workbook takes thirty times as long."""


def run_chaos(seed: int, chaos: Chaos, *, stores: Stores | None = None, fault_rate: float | None = None) -> Simulation:
    """Run one schedule to rest and judge it; raises ``Violation``."""
    limits = msgspec.structs.replace(LIMITS, tenant_composing_max=chaos.share)
    sim = Simulation(seed, chaotic=True, limits=limits, stores=stores)
    rate = FAULT_RATES[seed % len(FAULT_RATES)] if fault_rate is None else fault_rate
    sim.fills_disk = chaos.full_disk
    if chaos.full_disk:
        sim.world.bear_outages_for(TIMINGS.idle_s)  # without room for longer than an outage, a file is given up
    sim.world.retries = sim.chance.random() < 0.7
    swarm = [kind for kind in FAULTS if sim.chance.random() < 0.7]
    sim.plan = RandomFaults(sim.chance, rate, swarm)
    _Storm(sim, chaos).blow()
    recover(sim, sweeping=chaos.sweeping)
    settle(sim, sweeping=chaos.sweeping, is_tidy=False)
    return sim


class _Line:
    """One party's requests, one after the other."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.actor: Actor | None = None
        self.op: Op | None = None
        self.done = False

    def next_op(self) -> Op | None:
        """The next request, if the last one has ended."""
        if self.done or (self.actor is not None and not self.actor.done):
            return None
        try:
            self.op = next(self.script) if self.actor is None else self.script.send(self.actor)
        except StopIteration:
            self.done = True
            return None
        return self.op


class _Storm:
    """The loop of one random run."""

    def __init__(self, sim: Simulation, chaos: Chaos) -> None:
        self._sim = sim
        self._chance = sim.chance
        self._chaos = chaos
        self._deeds = Actions(sim)
        self._sender = self._make_sender()
        self._lines = [_Line(self._sender.script())]
        for number in range(chaos.twins):
            twin = Sender(self._deeds, self._sender.batches, key=f"twin-{number}", shares=True, forgiving=True)
            self._lines.append(_Line(twin.script()))
        self._step = 0
        self._numbers = 0
        self._cancelling = self._rendering = self._deleting = self._extra_sent = False

    def _make_sender(self) -> Sender:
        chaos, batches = self._chaos, table(self._chaos.batches, empty=self._chance.randrange(8))
        return Sender(
            self._deeds,
            batches,
            order=self._chance.sample(range(1, len(batches) + 1), len(batches)),
            counts_rows=not chaos.conflict and not chaos.extra,
            forgiving=chaos.conflict or chaos.extra,
            sheets=chaos.sheets,
            shares=chaos.twins > 0,
        )

    def blow(self) -> None:
        idle = 0
        while self._step < STEPS_MAX and idle < IDLE_MAX:
            self._step += 1
            self._go_on()
            self._deliver()
            self._happen()
            awake = [actor for actor in self._sim.live() if actor.frozen_until <= self._step]
            if awake:
                self._sim.step(self._chance.choice(awake))
                continue
            self._sim.pass_time(self._chance.choice((1, 5, TIMINGS.lease_s + TIMINGS.skew_s + 1)))
            if not all(line.done for line in self._lines):
                self._step += 20
                continue
            idle += 1
            if is_at_rest(self._sim):
                return

    def _go_on(self) -> None:
        for line in self._lines:
            op = line.next_op()
            if op is not None:
                line.actor = self._spawn(op.name, op)
                self._accompany(op)

    def _spawn(self, name: str, op: Op) -> Actor:
        actor = self._sim.spawn(name, op.action)
        if self._chance.random() < 0.02:
            actor.frozen_until = self._step + self._chance.randrange(400)
        return actor

    def _start(self, name: str, action: object) -> None:
        self._numbers += 1
        assert callable(action)
        self._spawn(f"{name} {self._numbers}", Op(name, action))

    def _accompany(self, op: Op) -> None:
        """Start what others do while the sender makes this request."""
        ref = self._sender.ref
        if ref is None:
            return
        if op.name.startswith("put "):
            sequence = int(op.name.removeprefix("put "))
            if self._chance.random() < 0.2:
                self._start("twin put", op.action)
            if self._chaos.conflict and self._chance.random() < 0.3:
                self._start("evil put", self._conflicting(ref, sequence))
        if op.name == "close":
            if self._chance.random() < 0.2:
                self._start("twin close", op.action)
            if self._chaos.extra and not self._extra_sent:
                self._extra_sent = True
                sequence = self._chaos.batches + 1
                sheet = sheet_of(sequence, self._chaos.sheets)
                self._start("extra put", self._deeds.put(ref, sequence, ((str(sequence), "x"),), sheet=sheet))

    def _conflicting(self, ref: TaskRef, sequence: int) -> Action:
        rows = self._sender.batches[sequence - 1]
        if self._chaos.sheets > 1:
            return self._deeds.put(ref, sequence, rows, sheet=sheet_of(sequence + 1, self._chaos.sheets))
        return self._deeds.put(ref, sequence, tuple((row[0], "evil" + row[1]) for row in rows))

    def _deliver(self) -> None:
        """Ring the waiting bells, in any order, sooner or later."""
        waiting = self._sim.world.triggers.waiting
        while waiting and self._chance.random() < 0.4:
            trigger = waiting.pop(self._chance.randrange(len(waiting)))
            self._start("compose", self._deeds.compose(trigger))

    def _happen(self) -> None:
        """Let something happen that nobody asked for."""
        chance, sim, ref = self._chance.random(), self._sim, self._sender.ref
        if chance < 0.02:
            sim.pass_time(self._chance.choice((1, 5, 30, 300)))
        elif chance < 0.04 and sim.flights:
            sim.land(self._chance.randrange(len(sim.flights)))
        elif chance < 0.06 and self._chaos.sweeping:
            self._start("sweep", self._deeds.sweep())
        elif chance < 0.08 and ref is not None:
            self._start("read", self._deeds.read(self._chance.choice(self._refs(ref))))
        elif chance < 0.09:
            self._send_old_trigger()
        elif chance < 0.10 and sim.live():
            self._chance.choice(sim.live()).frozen_until = self._step + self._chance.randrange(300)
        elif chance < 0.14 and ref is not None:
            self._meddle(ref)
        elif chance < 0.155:
            self._make_zombie()

    def _make_zombie(self) -> None:
        """Let a composer pause beyond its lease, and another one be called."""
        composers = [actor for actor in self._sim.live() if actor.name.startswith("compose") and actor.calls]
        if composers and self._chaos.sweeping:
            self._chance.choice(composers).frozen_until = self._step + self._chance.randrange(20, 200)
            self._sim.lapse()
            self._start("sweep", self._deeds.sweep())

    def _refs(self, ref: TaskRef) -> list[TaskRef]:
        return [ref, *(task.ref for task in self._sim.world.tasks.scan() if task.ref != ref)]

    def _send_old_trigger(self) -> None:
        heard = self._sim.world.triggers.heard
        if not heard:
            return
        trigger = self._chance.choice(heard)
        if self._chance.random() < 0.2:
            trigger = ManifestRef(trigger.task, "0" * 32)
        self._start("compose", self._deeds.compose(trigger))

    def _meddle(self, ref: TaskRef) -> None:
        """Let one of the parties of this mix do its thing."""
        actions = self._deeds
        target = self._chance.choice(self._refs(ref))
        match self._chance.choice((*self._parties(), "nobody")):
            case "cancel" if not self._cancelling and self._chance.random() < 0.4:
                self._cancelling = True
                self._lines.append(_Line(once(Op("cancel", actions.cancel(ref)))))
            case "delete" if not self._deleting and self._chance.random() < 0.2:
                self._deleting = True
                self._lines.append(_Line(once(Op("delete", actions.delete(target)))))
            case "render" if not self._rendering and self._sender.done and not self._sender.ended:
                self._rendering = True
                self._lines.append(_Line(once(Op("render", actions.render(ref, "again")))))
            case "release" if self._chance.random() < 0.3:
                self._start("release", actions.release(target))
            case "ring":
                self._start("ring", actions.ring(target))
            case "reconcile":
                self._start("reconcile", actions.reconcile(orphan_age_s=0))
            case "idle" if not self._sender.closing:
                self._sim.pass_time(TIMINGS.idle_s + 60)
                self._start("sweep", self._deeds.sweep())
            case _:
                return

    def _parties(self) -> Iterator[str]:
        chaos = self._chaos
        yield from (name for name in ("cancel", "delete", "render", "reconcile", "idle") if getattr(chaos, name))
        if chaos.supervise:
            yield from ("release", "ring")


def once(op: Op) -> Generator[Op, Actor, None]:
    """Make one request until it is answered."""
    while True:
        answered = yield op
        if answered.error is None or code_of(answered) is not None:
            return
