"""Random schedules of every mix of parties: no invariant is ever broken, and a seed says all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from sluice.domain.task import State
from sluice.usecases.lease import Outcome
from tests.support.simulation.chaos import MIXES, SHEETS_MIX, Chaos, run_chaos
from tests.support.simulation.faults import Fault
from tests.support.simulation.oracle import LEGAL_STEPS
from tests.support.simulation.seeds import Seed, is_scaled, kept_seeds, replay, run_and_keep, runs_of

RUNS = runs_of(100)
"""Schedules of each mix; ``SLUICE_SIM_RUNS`` scales it."""
SLICES = 2
SHEETS_RUNS = RUNS // 4
"""Fewer, for the time it takes to compose a workbook."""


def named(mix: Chaos) -> str:
    return mix.name


@pytest.mark.slow
@pytest.mark.timeout(0 if is_scaled() else 300)  # who asks for more runs also waits for them
@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("mix", MIXES, ids=named)
def test_random_schedules_break_nothing(mix: Chaos, part: int) -> None:
    for seed in range(part, RUNS, SLICES):
        run_and_keep(Seed(mix.name, seed))


@pytest.mark.slow
@pytest.mark.timeout(0 if is_scaled() else 300)
def test_random_schedules_of_two_sheets_mix_no_rows() -> None:
    files = 0
    for seed in range(SHEETS_RUNS):
        sim = run_and_keep(Seed(SHEETS_MIX.name, seed))
        files += any(task.state is State.COMPLETED for task in sim.world.tasks.scan())
    assert files > SHEETS_RUNS // 3  # about half: the others are cancelled, or their services die for a whole outage


@pytest.mark.parametrize("seed", kept_seeds(), ids=lambda seed: seed.path.stem)
def test_seeds_that_failed_once_stay_clean(seed: Seed) -> None:
    replay(seed)


@pytest.mark.parametrize("mix", MIXES, ids=named)
def test_the_same_seed_gives_the_same_run(mix: Chaos) -> None:
    for seed in range(3, 8):
        assert run_chaos(seed, mix).fingerprint() == run_chaos(seed, mix).fingerprint()


def test_different_seeds_give_different_runs() -> None:
    assert len({run_chaos(seed, MIXES[0]).fingerprint() for seed in range(20)}) == 20


def test_a_seed_means_the_same_in_another_process() -> None:
    script = (
        "from tests.support.simulation.chaos import MIXES, run_chaos\n"
        "print([run_chaos(seed, MIXES[-1]).fingerprint() for seed in (1, 2, 3)])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert told == {f"{[run_chaos(seed, MIXES[-1]).fingerprint() for seed in (1, 2, 3)]}\n"}


def test_the_schedules_reach_every_step_every_outcome_and_every_fault() -> None:
    """What a harness never does it cannot judge."""
    steps: set[tuple[str | None, str | None]] = set()
    faults: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    landed = 0
    for mix in MIXES:
        for seed in range(60):
            sim = run_chaos(seed, mix)
            steps |= sim.oracle.steps
            faults.update(how for _, call, how in sim.trace if call != "end")
            ends.update(how for actor, call, how in sim.trace if call == "end" and actor.startswith("compose"))
            landed += sum(actor == "network" and how == "landed" for actor, _, how in sim.trace)
    of_readers = {step for step in LEGAL_STEPS if {"waiting", "reading"} & set(step)}  # test_single_faults reaches them
    assert steps >= {step for step in LEGAL_STEPS - of_readers if step[1] is not None}
    assert set(faults) >= {fault.value for fault in Fault}
    of_their_own = {Outcome.UNKNOWN, Outcome.HANDED_OVER}  # have tests of their own; the second is one of readers
    outcomes = {outcome.value for outcome in set(Outcome) - of_their_own}
    assert {outcome for outcome in outcomes if not any(f"'{outcome}'" in end for end in ends)} == set()
    assert landed > 100
