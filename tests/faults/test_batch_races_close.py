"""Bad input 26: a batch that arrives while the task is being closed is never acknowledged and missing."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from tests.support.simulation.actions import Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.faults import FAULTS, NoFaults, RandomFaults
from tests.support.simulation.oracle import Rows
from tests.support.simulation.scenarios import begin, insist, opened, opened_with_one
from tests.support.simulation.sender import code_of
from tests.support.simulation.settling import settle

NEW: Rows = (("4", "late"),)
RUNS = 3_000
SLICES = 2


def told(actor: Actor) -> str:
    if actor.error is None:
        return "acknowledged"
    code = code_of(actor)
    return "unanswered" if code is None else code.value


def test_in_every_interleaving_the_batch_is_in_the_file_or_refused() -> None:
    """All orders of up to nine calls of the batch and of the close, not a sample."""
    ends: Counter[tuple[str, str]] = Counter()
    for turns in combinations(range(10), 4):
        sim, ref = begin(opened)
        put = sim.spawn("put", Actions(sim).put(ref, 4, NEW))
        close = sim.spawn("close", Actions(sim).close(ref, batches=None, rows=None))
        for turn in range(10):
            actor = put if turn in turns else close
            if not actor.done:
                sim.step(actor)
        sim.finish(put)
        sim.finish(close)
        settle(sim)
        rows = [task.result_rows for task in sim.world.tasks.scan()]
        assert rows == [7 if put.error is None else 6]
        ends[told(put), told(close)] += 1
    assert set(ends) == {("acknowledged", "acknowledged"), ("TASK_CLOSED", "acknowledged")}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(SLICES))
def test_thousands_of_races_with_faults_lose_nothing(part: int) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for seed in range(part * RUNS // SLICES, (part + 1) * RUNS // SLICES):
        ends[race(seed)] += 1
    assert ends["acknowledged", "acknowledged"] > RUNS / SLICES / 100
    assert ends["TASK_CLOSED", "acknowledged"] > RUNS / SLICES / 100
    assert ends["acknowledged", "BATCHES_EXTRA"] > RUNS / SLICES / 100


def race(seed: int) -> tuple[str, str]:
    """One race: a new batch, a replayed batch and two closes, the oracle watching."""
    sim, ref = begin(opened_with_one, seed=seed, chaotic=True)
    actions = Actions(sim)
    sim.plan = RandomFaults(sim.chance, (0.0, 0.05, 0.2)[seed % 3], FAULTS)
    batches = 1 if seed % 2 else None
    put = sim.spawn("put", actions.put(ref, 2, NEW))
    close = sim.spawn("close", actions.close(ref, batches=batches, rows=None))
    others = [sim.spawn("replay", actions.put(ref, 1, sim.oracle.facts(ref).acked[1].rows))]
    if seed % 5 == 0:
        others.append(sim.spawn("twin close", actions.close(ref, batches=batches, rows=None)))
    racing = [put, close, *others]
    while racing:
        actor = sim.chance.choice(racing)
        sim.step(actor)
        if sim.flights and sim.chance.random() < 0.2:
            sim.land()
        racing = [actor for actor in racing if not actor.done]
    ends = told(put), told(close)
    sim.plan = NoFaults()
    sim.land_all()
    insist(sim, "close", actions.close(ref, batches=None, rows=None))
    settle(sim)
    return ends
