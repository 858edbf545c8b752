"""One fault, of every kind, at every call to a store, in every scripted run: nothing is lost and everything ends.

`make test` leaves out runs that others are the same as: those of a read's faults that make no difference (see
`test_fault_pairs`), and those of a request that no longer lands while a party runs. `make all-faults` takes them all.
"""

from __future__ import annotations

import pytest

from tests.support.simulation.faults import FAULTS, READS, Fault, distinct_faults
from tests.support.simulation.scenarios import COMPOSE, SCENARIOS, SEND, Scenario, run_scenario
from tests.support.simulation.seeds import is_scaled

LATE = tuple(fault for fault in FAULTS if fault.lands_later)
LANDING_DELAYS = (1, 4, 9, 20)
"""After how many further calls a late request lands; otherwise it lands when nobody is running."""


def named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_without_faults_a_run_ends_as_it_should(scenario: Scenario) -> None:
    assert run_scenario(scenario).calls > 10


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_one_fault_anywhere_is_survived(scenario: Scenario, fault: Fault) -> None:
    for index, call in enumerate(run_scenario(scenario).exposed):
        if is_scaled() or fault in distinct_faults(call):
            run_scenario(scenario, {index: fault})


@pytest.mark.parametrize("scenario", SCENARIOS, ids=named)
def test_one_request_that_lands_later_is_survived(scenario: Scenario) -> None:
    for index, call in enumerate(run_scenario(scenario).exposed):
        if is_scaled() or call not in READS:
            for fault in LATE:
                land_later(scenario, index, fault)


def land_later(scenario: Scenario, index: int, fault: Fault) -> None:
    for delay in LANDING_DELAYS:
        landed = run_scenario(scenario, {index: fault}, landing_delay=delay).landed_delayed
        if not landed and not is_scaled():
            return  # with each longer delay it lands when nobody is running too


def test_a_lost_answer_costs_no_attempt_and_no_time() -> None:
    """Whatever call it was: a single lost answer is resolved within the attempt."""
    for index in range(run_scenario(COMPOSE).calls):
        sim = run_scenario(COMPOSE, {index: Fault.ERR_AFTER})
        assert [task.epoch for task in sim.world.tasks.scan()] == [1], sim.trace


def test_a_refused_call_costs_no_attempt() -> None:
    for index in range(run_scenario(COMPOSE).calls):
        sim = run_scenario(COMPOSE, {index: Fault.ERR_BEFORE})
        assert [task.epoch for task in sim.world.tasks.scan()] == [1], sim.trace


def test_a_sender_is_told_the_truth_about_replays_when_nothing_fails() -> None:
    sim = run_scenario(SEND)
    receipts = [how for actor, call, how in sim.trace if actor.startswith("put ") and call == "end"]
    assert receipts == ["False"] * 3
