"""Two composers of one task, switched at every call: the first is paused beyond its lease and wakes up later."""

from __future__ import annotations

from collections.abc import Sequence
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

    first: int = 0
    second: int = 0
    first_again: int = 0
    dies_sending: bool = False
    """The first composer dies when it wakes up, its request still on the way; it lands last."""
    supervised: bool = False
    """A supervisor frees the task, instead of the lease running out."""
    cancelled: bool = False
    """The sender cancels while the first composer sleeps for the second time."""


class Switched(NamedTuple):
    """Who had ended when its turn was over: the same happens in a longer turn."""

    second: bool
    first_again: bool


def run_all_switches(firsts: Sequence[int], seconds: Sequence[int], agains: Sequence[int], how: Switches) -> None:
    """Run each interleaving of turns so long, the shortest first; one that is the same as a shorter one is not run."""
    for first in firsts:
        for second in sorted(seconds):
            for again in sorted(agains):
                over = run_switches(how._replace(first=first, second=second, first_again=again))
                if over.first_again:
                    break
            if over.second:
                break


def run_switches(switches: Switches, *, stores: Stores | None = None) -> Switched:
    """Run one interleaving to rest and judge it; raises ``Violation``."""
    sim, ref = begin(sealed_with_two, stores=stores)
    first = compose(sim, ref, "compose first")
    sim.advance(first, switches.first)
    _free(sim, ref, supervised=switches.supervised)
    second = compose(sim, ref, "compose second")
    sim.advance(second, switches.second)
    second_is_over = second.done
    _look(sim, ref)
    if switches.dies_sending:
        _die_sending(sim, first)
    sim.advance(first, switches.first_again)
    over = Switched(second_is_over, first.done)
    _look(sim, ref)
    if switches.cancelled:
        sim.finish(sim.spawn("cancel", Actions(sim).cancel(ref)))
    sim.finish(second)
    sim.land_all()
    sim.finish(first)
    _look(sim, ref)
    settle(sim)
    _judge_end(sim, ref, cancelled=switches.cancelled)
    return over


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
