"""The teeth of the harness: each wrong design that people ship must be found, in few schedules."""

from __future__ import annotations

from itertools import product

import pytest

from tests.support.simulation.actions import Actions
from tests.support.simulation.faults import Fault
from tests.support.simulation.mutants import (
    MUTANTS,
    Mutant,
    Patch,
    believes_the_last_answer,
    goes_on_when_it_is_fenced,
    refuses_a_lost_completion,
    repeats_conditional_changes_in_the_adapter,
)
from tests.support.simulation.scenarios import COMPOSE, begin, compose, run_scenario, sealed
from tests.support.simulation.zombies import Switches, run_switches

SEEDS_MAX = 3_000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant) -> None:
    kill = mutant.first_kill(SEEDS_MAX)
    assert kill is not None, "the mutant lives: the harness is blind to this mistake"
    assert kill[1].startswith(mutant.symptom), kill


COMPLETION = "objects.complete"
ACQUISITION = "tasks.update sealed to composing"


def attempts_after_a_lost_answer(call: str) -> int:
    calls = [made for _, made, how in run_scenario(COMPOSE).trace if how != "landed" and made != "end"]
    sim = run_scenario(COMPOSE, {calls.index(call): Fault.ERR_AFTER})
    return max(task.epoch for task in sim.world.tasks.scan())


@pytest.mark.parametrize("call", [COMPLETION, ACQUISITION])
def test_a_lost_answer_still_means_one_attempt(call: str) -> None:
    assert attempts_after_a_lost_answer(call) == 1


@pytest.mark.parametrize(
    ("mutant", "call"),
    [
        pytest.param(refuses_a_lost_completion, COMPLETION, id="M5 takes NoSuchUpload for a failure"),
        pytest.param(believes_the_last_answer, ACQUISITION, id="repeats without reading back"),
        pytest.param(repeats_conditional_changes_in_the_adapter, ACQUISITION, id="repeats where no one reads back"),
    ],
)
def test_a_mutant_that_burns_an_attempt_is_killed(mutant: Patch, call: str) -> None:
    """It breaks no invariant."""
    with mutant():
        assert attempts_after_a_lost_answer(call) == 2


def completions_of_a_fenced_composer() -> int:
    """How often a composer that was taken over in the middle of its file completes its upload all the same."""
    sim, ref = begin(sealed)
    zombie = compose(sim, ref, "compose zombie")
    while (request := zombie.request()) is not None and request.call != "objects.put_part":
        sim.step(zombie)
    sim.finish(sim.spawn("release", Actions(sim).release(ref)))
    assert sim.finish(compose(sim, ref)).result == "completed"
    assert sim.finish(zombie).result == "fenced"
    return sum((name, call) == ("compose zombie", "objects.complete") for name, call, _ in sim.trace)


def test_a_fenced_composer_stops_at_its_next_heartbeat() -> None:
    assert completions_of_a_fenced_composer() == 0


def test_a_mutant_that_goes_on_when_it_is_fenced_is_killed() -> None:
    """It breaks no invariant, since its finish is fenced too; it writes a whole file for nothing."""
    with goes_on_when_it_is_fenced():
        assert completions_of_a_fenced_composer() == 1


@pytest.mark.parametrize("name", ["M1", "M2", "N13"])
def test_a_mutant_is_killed_by_a_zombie_too(name: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name.startswith(f"{name} "))
    turns = product(range(2, 16), range(0, 18, 3), (0, 1, 3), (False, True))
    with mutant.patch():
        assert any(is_violated(mutant, Switches(a, b, c, supervised=supervised)) for a, b, c, supervised in turns)


def is_violated(mutant: Mutant, switches: Switches) -> bool:
    try:
        run_switches(switches, stores=mutant.stores)
    except AssertionError:
        return True
    return False
