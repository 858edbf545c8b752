"""Being killed costs a task nothing, unless the task itself kills: it depends on where it died, and who saw it.

On one machine a composer's worker may die alone, which its service sees, or with the service, which no process sees.
"""

from __future__ import annotations

import msgspec

from sluice.domain.attempts import POSTPONE_S, free_at
from sluice.domain.errors import ErrorCode
from sluice.domain.keys import TaskRef
from tests.support.simulation.actions import Actions
from tests.support.simulation.scenarios import begin, compose, row_of, sealed
from tests.support.simulation.settling import settle
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import LIMITS, TIMINGS

DEATHS = 2 * TIMINGS.attempts_max


def die(sim: Simulation, ref: TaskRef, calls: int, *, alone: bool) -> str:
    """Let an attempt make some calls and die; the service that sees it frees the task at once."""
    composer = compose(sim, ref)
    sim.advance(composer, calls)
    if composer.done:
        return str(composer.result)
    owner = row_of(sim, ref).owner
    sim.kill(composer)
    if alone:
        freed = sim.finish(sim.spawn("release", Actions(sim).release(ref, owner, alone=True)))
        assert freed.result is True
    else:
        wait_free(sim, ref)
    return "died"


def wait_free(sim: Simulation, ref: TaskRef) -> None:
    """Let the lease run out, and the pause after it."""
    sim.pass_time(max(0, free_at(row_of(sim, ref), TIMINGS) - sim.world.time.now()) + 1)


def test_a_service_that_is_killed_all_the_time_costs_the_task_nothing() -> None:
    sim, ref = begin(sealed)
    sim.world.bear_outages_for(100_000)
    for _ in range(DEATHS):
        assert die(sim, ref, 5, alone=False) == "died"
    task = row_of(sim, ref)
    assert (task.strikes, task.epoch, task.deaths) == (0, DEATHS, DEATHS - 1)
    assert sim.finish(compose(sim, ref)).result == "completed"
    settle(sim)


def test_a_task_that_kills_its_worker_at_the_same_place_again_and_again_fails() -> None:
    sim, ref = begin(sealed)
    sim.world.bear_outages_for(100_000)
    outcomes = [die(sim, ref, 5, alone=True) for _ in range(TIMINGS.attempts_max + 2)]
    assert outcomes == ["died"] * (TIMINGS.attempts_max + 1) + ["failed"]
    task = row_of(sim, ref)
    assert (task.state, task.last_error_code) == ("failed", ErrorCode.ATTEMPTS_EXHAUSTED)
    assert f"deaths: {TIMINGS.attempts_max + 1}, died_at: 0 rows, 0 parts" in task.last_error
    settle(sim)


def test_workers_that_die_at_other_places_each_time_cost_the_task_nothing() -> None:
    sim, ref = begin(sealed)
    sim.world.bear_outages_for(100_000)
    places = set()
    for number in range(DEATHS):
        assert die(sim, ref, (5, 8, 12, 15)[number % 4], alone=True) == "died"
        places.add(row_of(sim, ref).died_at)
    assert len(places) > 1
    assert row_of(sim, ref).strikes == 0
    assert sim.finish(compose(sim, ref)).result == "completed"


def test_a_service_frees_only_the_attempt_that_its_own_worker_made() -> None:
    """Two services: the task of the one whose worker died was taken over by the other before it could free it."""
    sim, ref = begin(sealed)
    first = compose(sim, ref)
    sim.advance(first, 5)
    owner = row_of(sim, ref).owner
    sim.kill(first)
    sim.lapse()
    second = compose(sim, ref)
    sim.advance(second, 5)
    freed = sim.finish(sim.spawn("release", Actions(sim).release(ref, owner, alone=True)))
    assert freed.result is False
    assert sim.finish(second).result == "completed"


def one_composer_for_each_tenant() -> tuple[Simulation, TaskRef, TaskRef]:
    """Two tasks of one tenant that wait; the rows of the second are those of the first."""
    sim = Simulation(limits=msgspec.structs.replace(LIMITS, tenant_composing_max=1))
    sim.world.bear_outages_for(100_000)
    first = sealed(sim)
    second = sim.finish(sim.spawn("render", Actions(sim).render(first, "again"))).result
    assert isinstance(second, TaskRef)
    sim.world.triggers.waiting.clear()
    return sim, first, second


def test_while_a_task_rests_that_takes_its_service_down_its_tenant_s_others_are_composed() -> None:
    sim, first, second = one_composer_for_each_tenant()
    for _ in range(2):
        assert die(sim, first, 5, alone=False) == "died"
    composer = compose(sim, first)
    sim.advance(composer, 5)
    sim.kill(composer)
    assert sim.finish(compose(sim, second)).result == "postponed", "its composer may be alive"
    resting = row_of(sim, first)
    sim.pass_time(resting.lease_until + TIMINGS.skew_s - sim.world.time.now() + 0.5)
    assert sim.world.time.now() < free_at(resting, TIMINGS)
    assert sim.finish(compose(sim, first)).result == "busy", "it rests"
    assert sim.finish(compose(sim, second)).result == "completed"
    settle(sim)


def test_a_task_whose_composer_died_waits_for_its_tenant_s_share_as_any_other() -> None:
    sim, first, second = one_composer_for_each_tenant()
    assert die(sim, first, 5, alone=False) == "died"
    holder = compose(sim, second)
    sim.advance(holder, 5)
    before = row_of(sim, first)
    assert sim.finish(compose(sim, first)).result == "postponed"
    task = row_of(sim, first)
    assert (task.state, task.epoch, task.strikes) == ("composing", before.epoch, 0)
    assert sim.world.time.now() + POSTPONE_S - 3 < task.due_at <= sim.world.time.now() + POSTPONE_S
    assert sim.finish(holder).result == "completed"
    assert sim.finish(compose(sim, first)).result == "completed"
    settle(sim)
