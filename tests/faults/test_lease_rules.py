"""What an attempt owes to those who watch it: a lease that is kept, progress that shows, a log that says how it ended.

None of it is needed for safety, so no invariant of the simulation would miss it.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from sluice.domain.errors import ErrorCode
from sluice.domain.keys import TaskRef
from sluice.domain.task import Attempt, Phase, Task
from tests.support.simulation.actions import Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.faults import Fault, ScriptedFaults
from tests.support.simulation.oracle import Violation
from tests.support.simulation.scenarios import begin, completed, compose, exhausted, row_of, sealed, trigger_of
from tests.support.simulation.settling import recover, ring_all
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import START, TIMINGS


def attempts(sim: Simulation, ref: TaskRef) -> list[Attempt]:
    return sim.world.tasks.read_attempts(ref)


def advance_to(sim: Simulation, actor: Actor, call: str) -> None:
    """Stop right before the first call whose name ends like this."""
    while (request := actor.request()) is not None and not request.call.endswith(call):
        sim.step(actor)
    assert not actor.done


def fail_every(sim: Simulation, actor: Actor, call: str) -> None:
    """Let the actor run to its end, the store refusing one kind of call all the time."""
    while (request := actor.request()) is not None:
        fault = Fault.ERR_BEFORE if request.call == call else Fault.OK
        sim.plan = ScriptedFaults({sim.calls: fault})
        sim.step(actor)
    if not actor.done:
        sim.step(actor)


def test_a_composer_that_beats_is_never_taken_over() -> None:
    """A bell rings at each of its calls, and all of them together take longer than a lease."""
    sim, ref = begin(sealed)
    composer = compose(sim, ref)
    sim.advance(composer, 2)
    while not composer.done:
        assert sim.finish(compose(sim, ref)).result in {"busy", "dropped"}
        sim.step(composer)
    task = row_of(sim, ref)
    assert (task.state, task.epoch) == ("completed", 1)
    assert task.finished_at - task.started_at > 2 * TIMINGS.lease_s


def test_a_composer_that_does_not_beat_is_taken_over_once_its_lease_and_the_skew_are_over() -> None:
    sim, ref = begin(sealed)
    sim.advance(compose(sim, ref), 2)
    lapses_at = row_of(sim, ref).lease_until + TIMINGS.skew_s
    sim.pass_time(lapses_at - sim.world.time.now() - 1)  # the call itself takes a second
    assert sim.finish(compose(sim, ref)).result == "busy"
    sim.pass_time(1)
    assert sim.finish(compose(sim, ref)).result == "completed"
    assert row_of(sim, ref).epoch == 2


def test_a_sweeper_rings_for_a_held_task_only_when_it_lapsed() -> None:
    sim, ref = begin(sealed)
    sim.advance(compose(sim, ref), 2)
    task = row_of(sim, ref)
    assert task.due_at == task.lease_until + TIMINGS.skew_s
    sim.pass_time(task.due_at - sim.world.time.now() - 3)
    sim.finish(sim.spawn("sweep", Actions(sim).sweep()))
    assert sim.world.triggers.waiting == []
    sim.pass_time(5)
    sim.finish(sim.spawn("sweep", Actions(sim).sweep()))
    assert sim.world.triggers.waiting == [trigger_of(sim, ref)]


def test_heartbeats_are_no_more_frequent_than_asked_for() -> None:
    sim, ref = begin(sealed)
    sim.finish(compose(sim, ref))
    beats = [number for number, (_, call, _) in enumerate(sim.trace) if call.endswith("composing to composing")]
    assert len(beats) > 1
    assert all(later - earlier >= TIMINGS.heartbeat_s for earlier, later in pairwise(beats))


def progress(sim: Simulation, ref: TaskRef) -> list[Task]:
    """The row after each call of a composer that nobody disturbs, and that has time for a heartbeat between any two."""
    composer, rows = compose(sim, ref), []
    while not composer.done:
        sim.pass_time(TIMINGS.heartbeat_s)
        sim.step(composer)
        rows.append(row_of(sim, ref))
    return rows


def test_the_row_shows_how_far_an_attempt_is() -> None:
    sim, ref = begin(sealed)
    rows = progress(sim, ref)
    assert [task.rows_done for task in rows] == sorted(task.rows_done for task in rows)
    assert len({task.rows_done for task in rows}) > 2
    assert len({task.parts_done for task in rows}) > 2
    assert {task.phase for task in rows} >= {Phase.RENDERING, Phase.UPLOADING}
    assert (rows[-1].rows_done, rows[-1].result_rows) == (6, 6)
    assert rows[-1].lease_until == 0
    assert rows[-1].due_at == rows[-1].finished_at  # its garbage is collected at once
    assert rows[-1].parts_done == max(task.parts_done for task in rows) > 1
    assert rows[-1].result_crc64 == sim.world.store.head(rows[-1].result_key).crc64
    assert rows[-1].warnings == {}
    assert rows[-1].finished_at > rows[-1].started_at > rows[-1].created_at >= START
    assert rows[-1].expires_at == rows[-1].finished_at + TIMINGS.retention_s


def test_a_new_attempt_starts_its_progress_anew_and_keeps_the_time_of_the_first() -> None:
    sim, ref = begin(sealed)
    first = compose(sim, ref)
    sim.advance(first, 12)
    sim.kill(first)
    before = row_of(sim, ref)
    assert before.rows_done > 0
    sim.lapse()
    sim.advance(compose(sim, ref), 2)
    after = row_of(sim, ref)
    assert (after.epoch, after.rows_done, after.parts_done, after.phase) == (2, 0, 0, Phase.RENDERING)
    assert after.owner != before.owner
    assert after.started_at == before.started_at


def test_a_transient_failure_gives_the_task_back_with_its_reason_and_a_pause_that_doubles() -> None:
    sim, ref = begin(sealed)
    pauses = []
    for epoch in (1, 2, 3):
        composer = compose(sim, ref)
        fail_every(sim, composer, "objects.begin_upload")
        task = row_of(sim, ref)
        assert (composer.result, task.state, task.epoch) == ("released", "sealed", epoch)
        assert task.last_error_code == ErrorCode.STORE_UNAVAILABLE
        assert task.last_error
        assert task.lease_until == 0
        pauses.append(round(task.due_at - sim.world.time.now()))
        sim.finish(sim.spawn("sweep", Actions(sim).sweep()))
        assert bool(sim.world.triggers.waiting) is (pauses[-1] <= 0)
        sim.world.triggers.waiting.clear()
        sim.pass_time(pauses[-1])
    # Two calls were made since the pause began, each a second long.
    assert [pause + 2 for pause in pauses] == [TIMINGS.backoff_s * factor for factor in (1, 2, 4)]


def test_an_attempt_that_takes_too_long_gives_the_task_back_whatever_the_wall_clock_says() -> None:
    sim, ref = begin(sealed)
    composer = compose(sim, ref)
    sim.advance(composer, 6)
    sim.pass_time(TIMINGS.attempt_max_s + 1)
    sim.finish(composer)
    assert (composer.result, row_of(sim, ref).state) == ("released", "sealed")


def test_the_log_says_how_each_attempt_ended() -> None:
    sim, ref = begin(sealed)
    killed = compose(sim, ref)
    sim.advance(killed, 9)
    sim.kill(killed)
    sim.lapse()
    fail_every(sim, compose(sim, ref), "objects.begin_upload")
    zombie = compose(sim, ref)
    sim.advance(zombie, 8)
    sim.finish(sim.spawn("release", Actions(sim).release(ref)))
    winner = sim.finish(compose(sim, ref))
    sim.finish(zombie)
    assert (winner.result, zombie.result) == ("completed", "fenced")
    log = attempts(sim, ref)
    assert [attempt.epoch for attempt in log] == [1, 2, 3, 4]
    assert [attempt.outcome for attempt in log] == ["", "released", "fenced", "completed"]
    assert [attempt.ended_at > attempt.started_at for attempt in log] == [False, True, True, True]
    assert [attempt.error_code for attempt in log] == ["", ErrorCode.STORE_UNAVAILABLE, "", ""]
    assert (log[3].rows_done, log[3].parts_done > 1) == (6, True)


def test_a_permanent_failure_ends_the_task_with_its_reason() -> None:
    sim, ref = begin(sealed)
    lost = next(item.key for item in sim.world.store.list("in/") if "/c/00000002-" in item.key)
    sim.world.store.lose(lost)
    composer = sim.finish(compose(sim, ref))
    task = row_of(sim, ref)
    assert (composer.result, task.state) == ("failed", "failed")
    assert task.last_error_code == ErrorCode.CHUNK_MISSING
    assert (task.lease_until, task.expires_at) == (0, task.finished_at + TIMINGS.retention_s)
    log = attempts(sim, ref)
    assert [(attempt.outcome, attempt.error_code) for attempt in log] == [("failed", ErrorCode.CHUNK_MISSING)]


def test_a_permanent_failure_of_a_zombie_fails_nobody() -> None:
    sim, ref = begin(sealed)
    zombie = compose(sim, ref)
    sim.advance(zombie, 4)
    sim.lapse()
    second = compose(sim, ref)
    sim.advance(second, 17)
    for item in list(sim.world.store.list("in/")):
        sim.world.store.lose(item.key)
    assert sim.finish(zombie).result == "fenced"
    assert sim.finish(second).result == "completed"


def test_attempts_are_given_up_with_the_reason_of_the_last() -> None:
    sim = Simulation()
    ref = exhausted(sim)
    recover(sim)
    task = row_of(sim, ref)
    assert (task.state, task.last_error_code) == ("failed", ErrorCode.ATTEMPTS_EXHAUSTED)
    assert str(TIMINGS.attempts_max) in task.last_error


def test_a_finish_whose_answer_is_lost_is_told_as_what_it_was() -> None:
    sim, ref = begin(sealed)
    composer = compose(sim, ref)
    advance_to(sim, composer, "composing to completed")
    sim.plan = ScriptedFaults({sim.calls: Fault.ERR_AFTER})
    assert sim.finish(composer).result == "completed"
    assert attempts(sim, ref)[0].outcome == "completed"


def test_an_error_that_nobody_foresaw_gives_the_task_back_and_is_not_hidden() -> None:
    sim, ref = begin(sealed)
    composer = compose(sim, ref)
    advance_to(sim, composer, "objects.put_part")
    composer.refuse(RuntimeError("a bug"))
    with pytest.raises(Violation, match="a bug"):
        sim.finish(composer)
    task = row_of(sim, ref)
    assert (task.state, task.last_error_code, task.last_error) == ("sealed", ErrorCode.INTERNAL, "RuntimeError")
    assert list(sim.world.store.list_uploads("")) == []


def test_a_release_by_an_owner_that_has_lost_the_task_frees_nobody() -> None:
    sim, ref = begin(sealed)
    first = compose(sim, ref)
    sim.advance(first, 4)
    owner = row_of(sim, ref).owner
    sim.lapse()
    sim.advance(compose(sim, ref), 4)
    released = sim.finish(sim.spawn("release", Actions(sim).release(ref, owner)))
    assert (released.result, sim.state(ref)) == (False, "composing")
    current = sim.finish(sim.spawn("release", Actions(sim).release(ref, row_of(sim, ref).owner)))
    assert (current.result, sim.state(ref)) == (True, "sealed")
    freed = row_of(sim, ref)
    assert (freed.lease_until, freed.last_error_code) == (0, ErrorCode.INTERNAL)
    assert freed.last_error
    assert sim.world.time.now() - 3 < freed.due_at <= sim.world.time.now()


def test_a_link_dies_with_the_retention_even_before_a_sweep() -> None:
    sim, ref = begin(completed)
    ring_all(sim)
    sim.pass_time(row_of(sim, ref).expires_at - sim.world.time.now() - 10)
    assert sim.finish(sim.spawn("read", Actions(sim).read(ref))).error is None
    sim.pass_time(10)
    assert sim.finish(sim.spawn("read", Actions(sim).read(ref))).error is not None
