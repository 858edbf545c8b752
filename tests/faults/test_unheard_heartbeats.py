"""A heartbeat that gets no answer costs no attempt."""

from __future__ import annotations

from sluice.domain.task import State
from tests.support.simulation.faults import Fault, ScriptedFaults
from tests.support.simulation.scenarios import begin, compose, row_of, sealed
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import TIMINGS


def compose_deaf(sim: Simulation, *, deaf_s: float) -> str:
    """Compose while the rows' store does not answer, from the first heartbeat on and for so long; what came of it."""
    ref = next(iter(sim.world.tasks.scan())).ref
    composer = compose(sim, ref)
    deaf_from: float | None = None
    while not composer.done:
        request = composer.request()
        if request is None:
            sim.step(composer)
            continue
        if request.call.endswith("composing to composing") and deaf_from is None:
            deaf_from = sim.world.time.monotonic()
        deaf = deaf_from is not None and sim.world.time.monotonic() < deaf_from + deaf_s
        if deaf and request.call.startswith("tasks."):
            sim.plan = ScriptedFaults({sim.calls: Fault.ERR_BEFORE})
        sim.step(composer)
    assert isinstance(composer.result, str)
    return composer.result


def test_an_attempt_outlasts_a_heartbeat_without_an_answer() -> None:
    sim, ref = begin(sealed)
    assert compose_deaf(sim, deaf_s=2 * TIMINGS.lease_s) == "completed"
    assert (row_of(sim, ref).state, row_of(sim, ref).epoch) == (State.COMPLETED, 1)


def test_an_attempt_that_nobody_hears_does_not_know_how_it_ended() -> None:
    sim, ref = begin(sealed)
    assert compose_deaf(sim, deaf_s=1e9) == "unknown"
    assert row_of(sim, ref).state is State.COMPOSING
    assert list(sim.world.store.list("out/")), "what may yet be named is not deleted"


def test_an_attempt_that_was_taken_over_while_unheard_ends_at_the_next_heartbeat() -> None:
    sim, ref = begin(sealed)
    zombie = compose(sim, ref)
    while not (request := zombie.request()) or not request.call.endswith("composing to composing"):
        sim.step(zombie)
    while (request := zombie.request()) and not request.call.startswith("objects."):
        sim.plan = ScriptedFaults({sim.calls: Fault.ERR_BEFORE})
        sim.step(zombie)
    assert not zombie.done
    sim.lapse()
    second = compose(sim, ref)
    sim.advance(second, 2)
    assert sim.finish(zombie).result == "fenced"
    assert sim.finish(second).result == "completed"
