"""The sweeper's calendar: every round of an ended task at its time, and each sweep's own word on what it did."""

from __future__ import annotations

from sluice.domain.keys import TaskRef
from tests.support.simulation.actions import Actions
from tests.support.simulation.faults import Fault, ScriptedFaults
from tests.support.simulation.scenarios import begin, completed, compose, failed, opened, row_of, sealed
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import TIMINGS

FIRST_S, SECOND_S = TIMINGS.gc_delays_s


def sweep(sim: Simulation) -> dict[str, int]:
    """What one sweep says it did."""
    actor = sim.finish(sim.spawn("sweep", Actions(sim).sweep()))
    assert isinstance(actor.result, list)
    return {what.value: count for what, count in actor.result}


def wait_until_due(sim: Simulation, ref: TaskRef) -> None:
    sim.pass_time(row_of(sim, ref).due_at - sim.world.time.now())


def results(sim: Simulation) -> list[str]:
    return [item.key for item in sim.world.store.list("out/")]


def test_a_completed_task_is_swept_at_its_times_until_nothing_is_left() -> None:
    sim, ref = begin(completed)
    finished_at = row_of(sim, ref).finished_at
    assert sweep(sim) == {"garbage": 1}
    assert row_of(sim, ref).due_at == finished_at + FIRST_S
    assert sweep(sim) == {}
    wait_until_due(sim, ref)
    assert sweep(sim) == {"garbage": 1}
    assert row_of(sim, ref).due_at == finished_at + SECOND_S
    wait_until_due(sim, ref)
    assert sweep(sim) == {"garbage": 1}
    assert row_of(sim, ref).due_at == row_of(sim, ref).expires_at == finished_at + TIMINGS.retention_s
    wait_until_due(sim, ref)
    assert sweep(sim) == {"result_expired": 1}
    assert_expired_is_buried(sim, ref)


def assert_expired_is_buried(sim: Simulation, ref: TaskRef) -> None:
    """The file outlives the last link; then the rounds come again, the tombstone, and the end."""
    assert 0 < row_of(sim, ref).due_at - sim.world.time.now() <= TIMINGS.link_s
    assert sweep(sim) == {}
    assert len(results(sim)) == 1
    wait_until_due(sim, ref)
    assert [sweep(sim) for _ in TIMINGS.gc_delays_s] == [{"garbage": 1}, {"garbage": 1}]
    assert list(sim.world.store.list("")) == []
    assert sweep(sim) == {"tombstone": 1}
    assert_is_tombstone(sim, ref)
    wait_until_due(sim, ref)
    assert sweep(sim) == {"removed": 1}
    assert sim.world.tasks.read(ref) is None


def assert_is_tombstone(sim: Simulation, ref: TaskRef) -> None:
    held = sim.world.tasks.read_claims(ref)
    assert held is not None
    assert (held.task.params, held.claims) == (None, {})
    assert 0 < held.task.due_at - sim.world.time.now() <= TIMINGS.tombstone_s


def test_a_failed_task_waits_for_its_retention() -> None:
    sim, ref = begin(failed)
    for _ in range(3):
        wait_until_due(sim, ref)
        assert sweep(sim) == {"garbage": 1}
    task = row_of(sim, ref)
    assert task.due_at == task.expires_at == task.finished_at + TIMINGS.retention_s
    wait_until_due(sim, ref)
    assert sweep(sim) == {"tombstone": 1}
    assert_is_tombstone(sim, ref)


def test_a_cancelled_task_waits_for_its_retention() -> None:
    sim, ref = begin(sealed)
    sim.finish(sim.spawn("cancel", Actions(sim).cancel(ref)))
    task = row_of(sim, ref)
    assert (task.lease_until, task.due_at) == (0, task.finished_at)
    assert task.expires_at == task.finished_at + TIMINGS.retention_s
    assert sweep(sim) == {"garbage": 1}
    assert list(sim.world.store.list("")) == []


def test_a_deleted_task_is_buried_right_after_its_rounds() -> None:
    sim, ref = begin(completed)
    sim.finish(sim.spawn("delete", Actions(sim).delete(ref)))
    deleted_at = row_of(sim, ref).deleted_at
    assert sweep(sim) == {"garbage": 1}
    assert row_of(sim, ref).due_at == deleted_at + FIRST_S
    wait_until_due(sim, ref)
    assert sweep(sim) == {"garbage": 1}
    assert row_of(sim, ref).due_at == deleted_at + SECOND_S
    wait_until_due(sim, ref)
    assert sweep(sim) == {"tombstone": 1}
    assert_is_tombstone(sim, ref)


def test_an_idle_task_expires_a_while_after_its_last_batch_and_not_before() -> None:
    sim, ref = begin(opened)
    task = row_of(sim, ref)
    assert task.due_at == task.last_batch_at + TIMINGS.idle_s
    sim.pass_time(task.due_at - sim.world.time.now() - 3)
    assert sweep(sim) == {}
    wait_until_due(sim, ref)
    assert sweep(sim) == {"idle_expired": 1}
    expired = row_of(sim, ref)
    assert expired.finished_at == expired.expires_at == expired.due_at > task.due_at
    assert sweep(sim) == {"garbage": 1}
    assert list(sim.world.store.list("")) == []


def test_a_batch_puts_the_end_of_an_idle_task_off() -> None:
    sim, ref = begin(opened)
    sim.pass_time(TIMINGS.idle_s - 10)
    sim.finish(sim.spawn("put", Actions(sim).put(ref, 4, (("4", "late"),))))
    sim.pass_time(20)
    assert sweep(sim) == {}


def test_a_sweep_says_what_it_rang_for() -> None:
    sim, ref = begin(sealed)
    wait_until_due(sim, ref)
    assert sweep(sim) == {"lost_trigger": 1}
    sim.world.triggers.waiting.clear()
    sim.advance(compose(sim, ref), 4)
    wait_until_due(sim, ref)
    assert sweep(sim) == {"lapsed_lease": 1}
    assert 0 < row_of(sim, ref).due_at - sim.world.time.now() <= TIMINGS.trigger_grace_s


def test_a_sweep_takes_the_most_overdue_first_and_no_more_than_it_may() -> None:
    sim, ref = begin(sealed)
    render = sim.finish(sim.spawn("render", Actions(sim).render(ref, "again")))
    sim.world.triggers.waiting.clear()
    sim.pass_time(TIMINGS.trigger_grace_s + 1)
    sim.finish(sim.spawn("sweep", Actions(sim).sweep(limit=1)))
    assert [trigger.task for trigger in sim.world.triggers.waiting] == [ref]
    sim.finish(sim.spawn("sweep", Actions(sim).sweep(limit=1)))
    assert [trigger.task for trigger in sim.world.triggers.waiting] == [ref, render.result]


def test_a_store_that_fails_on_one_task_does_not_keep_the_others_from_their_turn() -> None:
    sim, ref = begin(sealed)
    sim.finish(sim.spawn("render", Actions(sim).render(ref, "again")))
    sim.world.triggers.waiting.clear()
    sim.pass_time(TIMINGS.trigger_grace_s + 1)
    actor = sim.spawn("sweep", Actions(sim).sweep())
    sim.advance(actor, 1)
    sim.plan = ScriptedFaults({sim.calls + tries: Fault.ERR_BEFORE for tries in range(4)})
    sim.finish(actor)
    assert isinstance(actor.result, list)
    assert {what.value: count for what, count in actor.result} == {"error": 1, "lost_trigger": 1}
