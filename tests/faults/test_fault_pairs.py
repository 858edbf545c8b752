"""Every pair of faults in one composer's run, from its first call to the last sweep: all of them, not a sample."""

from __future__ import annotations

import pytest

from tests.support.simulation.faults import FAULTS, Fault
from tests.support.simulation.scenarios import COMPOSE, TAKE_OVER, run_scenario

COMPOSE_CALLS = run_scenario(COMPOSE).calls
TAKE_OVER_KINDS = (Fault.ERR_LATE, Fault.CRASH_LATE)
"""The pairs of a take-over are those of requests that land behind their sender's back."""


@pytest.mark.slow
@pytest.mark.parametrize("first_fault", FAULTS)
@pytest.mark.parametrize("half", [0, 1])
def test_two_faults_in_a_composer_s_run_are_survived(first_fault: Fault, half: int) -> None:
    for first in range(half, COMPOSE_CALLS, 2):
        calls = run_scenario(COMPOSE, {first: first_fault}).calls
        for second in range(first + 1, calls):
            for second_fault in FAULTS:
                run_scenario(COMPOSE, {first: first_fault, second: second_fault})


@pytest.mark.slow
@pytest.mark.parametrize("first_fault", TAKE_OVER_KINDS)
def test_two_late_requests_in_a_take_over_are_survived(first_fault: Fault) -> None:
    calls = run_scenario(TAKE_OVER).calls
    for first in range(calls):
        for second in range(first + 1, calls):
            for second_fault in TAKE_OVER_KINDS:
                run_scenario(TAKE_OVER, {first: first_fault, second: second_fault})
