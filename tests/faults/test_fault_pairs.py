"""Pairs of faults in one composer's run, from its first call to the last sweep.

`make all-faults`, which the build machine runs, takes every pair. `make test` takes a third of them, chosen by the seed
of the run, so that each committed tree is tested with others.
"""

from __future__ import annotations

import random

import pytest

from tests.support.simulation.faults import FAULTS, READS, Fault, distinct_faults
from tests.support.simulation.scenarios import COMPOSE, TAKE_OVER, run_scenario
from tests.support.simulation.seeds import is_scaled
from tests.support.simulation.simulation import Simulation

TAKE_OVER_KINDS = (Fault.ERR_LATE, Fault.CRASH_LATE)
"""The pairs of a take-over are those of requests that land behind their sender's back."""


SHARE = 1 if is_scaled() else 1 / 3


def is_taken(_: Fault) -> bool:
    """Whether a pair is run; reproducible, since each test begins with the seed of the run."""
    return random.random() < SHARE


@pytest.mark.slow
@pytest.mark.parametrize("first_fault", FAULTS)
def test_two_faults_in_a_composer_s_run_are_survived(first_fault: Fault) -> None:
    for first, call in enumerate(run_scenario(COMPOSE).exposed):
        if first_fault not in distinct_faults(call):
            continue
        exposed = run_scenario(COMPOSE, {first: first_fault}).exposed
        for second in range(first + 1, len(exposed)):
            for second_fault in filter(is_taken, distinct_faults(exposed[second])):
                run_scenario(COMPOSE, {first: first_fault, second: second_fault})


def history(sim: Simulation) -> object:
    """Who made which call, and what is left in the end; not which fault it was that a call met."""
    calls = [(actor, call) for actor, call, how in sim.trace if how != "landed" and actor != "network"]
    rows = sorted(sim.world.tasks.scan(), key=lambda task: task.ref)
    files = [(item.key, sim.world.store.get(item.key)) for item in sim.world.store.list("")]
    return calls, rows, files, list(sim.world.store.list_uploads("")), sim.world.time.passed_s


@pytest.mark.parametrize(
    ("fault", "others"),
    [
        (Fault.ERR_BEFORE, (Fault.ERR_AFTER, Fault.ERR_LATE)),
        (Fault.CRASH_BEFORE, (Fault.CRASH_AFTER, Fault.CRASH_LATE)),
    ],
)
def test_whether_a_read_was_served_makes_no_difference(fault: Fault, others: tuple[Fault, Fault]) -> None:
    """Why the pairs leave out four of a read's six faults."""
    reads = [index for index, call in enumerate(run_scenario(COMPOSE).exposed) if call in READS]
    assert len(reads) > 10
    for index in reads:
        expected = history(run_scenario(COMPOSE, {index: fault}))
        for other in others:
            assert history(run_scenario(COMPOSE, {index: other})) == expected


@pytest.mark.slow
@pytest.mark.parametrize("first_fault", TAKE_OVER_KINDS)
def test_two_late_requests_in_a_take_over_are_survived(first_fault: Fault) -> None:
    for first in range(len(run_scenario(TAKE_OVER).exposed)):
        exposed = run_scenario(TAKE_OVER, {first: first_fault}).exposed
        for second in range(first + 1, len(exposed)):
            for second_fault in filter(is_taken, TAKE_OVER_KINDS):
                run_scenario(TAKE_OVER, {first: first_fault, second: second_fault})
