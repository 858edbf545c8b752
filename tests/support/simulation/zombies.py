"""Two composers of one task, switched at every call: the first is paused beyond its lease and wakes up later."""

from __future__ import annotations

from typing import NamedTuple

from sluice.domain.keys import TaskRef
from tests.support.simulation.actions import Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.faults import Fault, NoFaults, ScriptedFaults
from tests.support.simulation.oracle import Violation
from tests.support.simulation.scenarios import begin, compose, sealed_with_two
from tests.support.simulation.settling import settle
from tests.support.simulation.simulation import Simulation, Stores


class Switches(NamedTuple):
    """Calls the first composer makes, then the second, then the first again; the rest comes in this order too."""

    first: int
    second: int
    first_again: int
    dies_sending: bool = False
    """The first composer dies when it wakes up, its request still on the way; it lands last."""
    supervised: bool = False
    """A supervisor frees the task, instead of the lease running out."""
    cancelled: bool = False
    """The sender cancels while the first composer sleeps for the second time."""


def run_switches(switches: Switches, *, stores: Stores | None = None) -> Simulation:
    """Run one interleaving to rest and judge it; raises ``Violation``."""
    sim, ref = begin(sealed_with_two, stores=stores)
    first = compose(sim, ref, "compose first")
    sim.advance(first, switches.first)
    _free(sim, ref, supervised=switches.supervised)
    second = compose(sim, ref, "compose second")
    sim.advance(second, switches.second)
    _look(sim, ref)
    if switches.dies_sending:
        _die_sending(sim, first)
    sim.advance(first, switches.first_again)
    _look(sim, ref)
    if switches.cancelled:
        sim.finish(sim.spawn("cancel", Actions(sim).cancel(ref)))
    sim.finish(second)
    sim.land_all()
    sim.finish(first)
    _look(sim, ref)
    settle(sim)
    _judge_end(sim, ref, cancelled=switches.cancelled)
    return sim


def _free(sim: Simulation, ref: TaskRef, *, supervised: bool) -> None:
    if supervised:
        sim.finish(sim.spawn("release", Actions(sim).release(ref)))
    else:
        sim.lapse()


def _look(sim: Simulation, ref: TaskRef) -> None:
    """A sweeper and a reader come by. The bell the sweeper rings is lost."""
    actions = Actions(sim)
    sim.finish(sim.spawn("sweep", actions.sweep()))
    sim.finish(sim.spawn("read", actions.read(ref)))
    sim.world.triggers.waiting.clear()


def _die_sending(sim: Simulation, actor: Actor) -> None:
    if actor.request() is None:
        return
    sim.plan = ScriptedFaults({sim.calls: Fault.CRASH_LATE})
    sim.step(actor)
    sim.plan = NoFaults()


def _judge_end(sim: Simulation, ref: TaskRef, *, cancelled: bool) -> None:
    state = sim.state(ref)
    if state != "completed" and not (cancelled and state == "cancelled"):
        raise Violation(f"I5 came to rest in {state}")
