"""Brings a run to rest by repairing what was lost, and checks everything that must hold at the end."""

from __future__ import annotations

from sluice.domain.errors import ErrorCode
from sluice.domain.keys import input_folder, sequence_of_chunk
from sluice.domain.task import Task
from tests.support.simulation.actions import Actions
from tests.support.simulation.faults import NoFaults
from tests.support.simulation.oracle import Violation
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import TIMINGS

ROUNDS_MAX = 60


def recover(sim: Simulation, *, sweeping: bool = True) -> None:
    """Let actors end, requests land, bells ring and sweepers sweep, until nothing is left to do.

    Under whatever faults the run has.
    """
    actions = Actions(sim)
    for _ in range(ROUNDS_MAX):
        for actor in sim.live():
            sim.finish(actor)
        sim.land_all()
        ring_all(sim)
        if is_at_rest(sim):
            return
        sim.lapse()
        skip_to_due(sim)
        if sweeping:
            sim.finish(sim.spawn("sweep", actions.sweep()))


def settle(sim: Simulation, *, sweeping: bool = True, is_tidy: bool = True) -> None:
    """Recover without further faults, read every file, and judge.

    Garbage that lands after the planned rounds goes when the row does, or by
    the weekly reconciliation; unless ``is_tidy``, a run that has some is
    followed to the end of its rows.
    """
    sim.plan = NoFaults()
    sim.world.tasks.index_lag = None
    recover(sim, sweeping=sweeping)
    actions = Actions(sim)
    for task in list(sim.world.tasks.scan()):
        sim.finish(sim.spawn("read", actions.read(task.ref)))
    _judge(sim)
    garbage = _garbage(sim)
    if garbage and is_tidy:
        raise Violation(f"I7 orphans: {garbage}")
    if garbage:
        outlive(sim, is_tidy=False)


def outlive(sim: Simulation, *, is_tidy: bool = True) -> None:
    """Let every task's retention and tombstone run out; then nothing may be left of it.

    Unless ``is_tidy``, a reconciliation may have to help.
    """
    sim.plan = NoFaults()
    actions = Actions(sim)
    for _ in range(ROUNDS_MAX):
        if not list(sim.world.tasks.scan()):
            break
        sim.lapse()
        skip_to_due(sim)
        sim.finish(sim.spawn("sweep", actions.sweep()))
    if not is_tidy:
        sim.pass_time(1)
        sim.finish(sim.spawn("reconcile", actions.reconcile(orphan_age_s=0)))
    left = [task.task_id for task in sim.world.tasks.scan()] + [item.key for item in sim.world.store.list("")]
    left += [f"an upload to {upload.key}" for upload in sim.world.store.list_uploads("")]
    if left:
        raise Violation(f"I7 left for ever: {left}")


def ring_all(sim: Simulation) -> None:
    """Let a composer answer every bell."""
    actions = Actions(sim)
    while sim.world.triggers.waiting:
        sim.finish(sim.spawn("compose", actions.compose(sim.world.triggers.waiting.pop(0))))


def is_at_rest(sim: Simulation) -> bool:
    """Whether every task has ended and its garbage was collected as often as planned."""
    rounds = len(TIMINGS.gc_delays_s)
    return not sim.flights and all(
        task.state.terminal and (task.gc_round >= rounds or not task.params) for task in sim.world.tasks.scan()
    )


def skip_to_due(sim: Simulation) -> None:
    """Pass the time until something is due, if nothing is."""
    due_at = min((task.due_at for task in sim.world.tasks.scan()), default=0.0)
    wait_s = due_at - sim.world.time.now()
    if wait_s > 0:
        sim.pass_time(wait_s + 1)


def _judge(sim: Simulation) -> None:
    for task in sim.world.tasks.scan():
        if not task.state.terminal:
            raise Violation(f"I5 stuck in {task.state}")
        if task.state == "failed" and not _may_fail(sim, task):
            raise Violation(f"I5 failed with {task.last_error_code} at epoch {task.epoch}")
        if task.state in {"completed", "failed"} and task.params and not task.deleted_at:
            sim.world.tasks.check_counters(task.ref)
    sim.oracle.committed_files_stand()


def _may_fail(sim: Simulation, task: Task) -> bool:
    if task.last_error_code == ErrorCode.ATTEMPTS_EXHAUSTED:
        was_late = task.finished_at + 60 >= task.sealed_at + TIMINGS.outage_s  # by the clock of some actor
        return task.strikes >= TIMINGS.attempts_max or (was_late and task.epoch >= TIMINGS.attempts_max)
    source_id = str(sim.oracle.facts(task.ref).params.get("source_task", ""))
    if task.last_error_code != ErrorCode.CHUNK_MISSING or not source_id:
        return False
    source = sim.oracle.rows.get((task.tenant, source_id))
    return source is None or bool(source.deleted_at) or source.state in {"cancelled", "expired"}


def _garbage(sim: Simulation) -> list[str]:
    """Results, uploads and pointers that no row stands behind, and chunks of tasks that will never need them."""
    rows = list(sim.world.tasks.scan())
    named = {task.result_key for task in rows if task.state == "completed"}
    offered = {task.task_id.encode() for task in rows if task.state == "completed"}
    named |= {item.key for item in sim.world.store.list("out/") if sim.world.store.peek(item.key) in offered}
    orphans = [item.key for item in sim.world.store.list("out/") if item.key not in named]
    orphans += [upload.key for upload in sim.world.store.list_uploads("")]
    dead = {task.task_id for task in rows if task.state in {"cancelled", "expired"}}
    orphans += [item.key for item in sim.world.store.list("in/") if item.key.split("/")[4] in dead]
    return orphans + [key for task in rows for key in _left_out(sim, task)]


def _left_out(sim: Simulation, task: Task) -> list[str]:
    """Chunks of readings of the task that were begun anew."""
    keys = [item.key for item in sim.world.store.list(input_folder(task.ref))]
    return [key for key in keys if not task.has_batch(sequence_of_chunk(task.ref, key) or task.first_sequence)]
