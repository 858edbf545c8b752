"""A wall clock that jumps: nothing is deleted on one reading of it, and no lease holds a task longer than any can."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.attempts import due_latest
from sluice.domain.keys import TaskRef
from sluice.domain.task import LIVE, State
from sluice.ports.task_store import DueTasks
from sluice.usecases.upkeep.sweep_tasks import CLOCK_PROOF_S, SweepMemory, Swept, sweep_tasks
from tests.contracts.task_builder import NOW, a_task
from tests.support.simulation.scenarios import begin, completed, compose, failed, opened, row_of, sealed
from tests.support.simulation.settling import ring_all
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import TIMINGS

DAY_S = 24 * 3600
WEEKS_S = 40 * DAY_S
HOURS_S = 3 * 3600


def sweep(sim: Simulation, memory: SweepMemory) -> dict[str, int]:
    actor = sim.finish(sim.spawn("sweep", lambda: sweep_tasks(sim.world.ports(), memory=memory)))
    assert isinstance(actor.result, dict)
    return {what.value: count for what, count in actor.result.items()}


def settled(sim: Simulation) -> SweepMemory:
    """The memory of a sweeper that has run for a while."""
    memory = SweepMemory()
    sweep(sim, memory)
    sim.pass_time(CLOCK_PROOF_S + 10)
    sweep(sim, memory)
    return memory


def stored(sim: Simulation) -> list[str]:
    return [item.key for item in sim.world.store.list("")]


def test_a_clock_that_is_weeks_ahead_for_a_moment_deletes_nothing() -> None:
    for prepare in (opened, completed, failed):
        sim, ref = begin(prepare)
        memory = settled(sim)
        state, objects = row_of(sim, ref).state, stored(sim)
        sim.world.time.jumped_s = WEEKS_S
        for _ in range(3):
            sweep(sim, memory)
        sim.world.time.jumped_s = 0
        for _ in range(3):
            sim.pass_time(60)
            sweep(sim, memory)
        assert (row_of(sim, ref).state, stored(sim)) == (state, objects)


def test_a_service_that_starts_with_a_wrong_clock_deletes_nothing_until_it_has_proved_itself() -> None:
    sim, ref = begin(opened)
    sim.world.time.jumped_s = WEEKS_S
    memory = SweepMemory()
    for _ in range(3):
        assert "idle_expired" not in sweep(sim, memory)
        sim.pass_time(CLOCK_PROOF_S / 4)
    sim.world.time.jumped_s = 0
    sweep(sim, memory)
    assert row_of(sim, ref).state is State.OPEN


def test_what_is_really_over_goes_once_the_clock_has_proved_itself() -> None:
    sim, ref = begin(opened)
    sim.pass_time(TIMINGS.idle_s + 100)
    memory = SweepMemory()
    assert "idle_expired" not in sweep(sim, memory)
    sim.pass_time(CLOCK_PROOF_S + 5)
    assert sweep(sim, memory)["idle_expired"] == 1
    assert row_of(sim, ref).state is State.EXPIRED


def test_a_clock_that_jumped_for_good_is_believed_after_as_long_as_it_jumped_and_a_day_at_most() -> None:
    """As after a machine slept: the monotonic clock stood still meanwhile."""
    for jump_s, doubt_s in ((HOURS_S, HOURS_S), (WEEKS_S, DAY_S)):
        sim, ref = begin(opened)
        memory = settled(sim)
        sim.world.time.jumped_s = jump_s
        sweep(sim, memory)
        sim.pass_time(doubt_s - 60)
        sweep(sim, memory)
        assert row_of(sim, ref).state is State.OPEN
        sim.pass_time(70)
        sweep(sim, memory)
        assert row_of(sim, ref).state is State.EXPIRED


def test_what_is_doubted_takes_no_turn_of_what_can_be_helped() -> None:
    sim, _ = begin(sealed)
    memory = settled(sim)
    sim.world.triggers.waiting.clear()
    lost = next(iter(sim.world.tasks.scan())).ref
    for number in range(5):
        task = a_task(f"old {number}", created_at=NOW, due_at=1.0)
        sim.world.tasks._tasks[task.ref] = task  # past the oracle: no sender made them
    sim.world.time.jumped_s = WEEKS_S
    for _ in range(5):
        sim.finish(sim.spawn("sweep", lambda: sweep_tasks(sim.world.ports(), memory=memory, limit=2)))
        sim.pass_time(1)
    assert lost in [trigger.task for trigger in sim.world.triggers.waiting]


def test_a_lease_that_was_taken_hours_ahead_is_taken_over_at_once() -> None:
    sim, ref = begin(sealed)
    sim.world.time.jumped_s = HOURS_S
    first = compose(sim, ref)
    sim.advance(first, 4)
    sim.kill(first)
    sim.world.time.jumped_s = 0
    assert row_of(sim, ref).lease_until > sim.world.time.now() + HOURS_S - 60
    assert sweep(sim, SweepMemory())[Swept.LAPSED_LEASE.value] == 1
    ring_all(sim)
    assert sim.state(ref) == "completed"


def test_a_pause_that_was_taken_hours_ahead_is_over_at_once() -> None:
    sim, ref = begin(sealed)
    sim.pass_time(TIMINGS.trigger_grace_s + 1)
    sim.world.time.jumped_s = HOURS_S
    sweep(sim, SweepMemory())
    sim.world.triggers.waiting.clear()
    sim.world.time.jumped_s = 0
    assert sweep(sim, SweepMemory())[Swept.LOST_TRIGGER.value] == 1
    assert [trigger.task for trigger in sim.world.triggers.waiting] == [ref]


def test_a_task_file_proposes_live_rows_that_are_due_too_late_and_no_others(tmp_path: Path) -> None:
    latest = due_latest(NOW, TIMINGS)
    far = latest + 1
    rows = {state: a_task(state.value, state=state, due_at=far) for state in State}
    near = a_task("near", state=State.COMPOSING, due_at=latest)
    due = a_task("due", state=State.OPEN, due_at=NOW - 5)
    with closing(SqliteTasks(tmp_path / "tasks.sqlite3", synchronous="OFF")) as tasks:
        for task in (*rows.values(), near, due):
            tasks.create(task)
        proposed = tasks.due(NOW, limit=10, latest=latest)
        none_far = tasks.due(NOW, limit=10)
    assert proposed.others == [due.ref]
    assert set[TaskRef](proposed.live) == {rows[state].ref for state in LIVE}
    assert none_far == DueTasks([], [due.ref])
