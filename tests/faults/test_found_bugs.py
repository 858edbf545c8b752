"""Bugs that the simulation, or the review that came with it, found in the protocol's code: they stay fixed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec
import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskId, TaskRef
from sluice.domain.options import ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import Opened, OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.support.recorded_journal import RecordedJournal
from tests.support.simulation.actions import PARAMS, SEMICOLONS, TENANT, Actions
from tests.support.simulation.oracle import Rows
from tests.support.simulation.scenarios import begin, completed, compose, exhausted, sealed
from tests.support.simulation.settling import outlive, recover, ring_all
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.straight_world import straight_ports
from tests.support.simulation.world import LIMITS, TIMINGS, World


def open_with(ports: Ports, params: ExportParams, key: str) -> TaskRef:
    return open_export(ports, TENANT, OpenRequest(params, idempotency_key=key)).task.ref


def bury(world: World, ports: Ports, ref: TaskRef) -> None:
    """Let a task's retention run out until only its tombstone is left."""
    for _ in range(20):
        world.time.sleep(TIMINGS.retention_s / 4)
        sweep_tasks(ports)
        task = world.tasks.read(ref)
        assert task is not None
        if not task.params:
            return
    raise AssertionError("the task was never buried")


def read_no_rows(data: bytes) -> Rows:
    """Read a file that has neither header nor rows."""
    assert data == b""
    return ()


def test_the_chunks_of_a_failed_task_go_when_its_retention_is_over() -> None:
    sim = Simulation()
    exhausted(sim)
    recover(sim)
    assert [task.state for task in sim.world.tasks.scan()] == ["failed"]
    outlive(sim)  # raises when anything is left


def test_deleting_a_tombstone_does_not_free_its_key() -> None:
    world, ports = straight_ports()
    ref = open_with(ports, PARAMS, "order-1")
    world.time.sleep(TIMINGS.idle_s + 1)
    sweep_tasks(ports)
    bury(world, ports, ref)
    delete_export(ports, ref)
    for _ in range(3):
        world.time.sleep(1)
        sweep_tasks(ports)
    with pytest.raises(SluiceError) as refused:
        open_with(ports, PARAMS, "order-1")
    assert refused.value.code is ErrorCode.TASK_DELETED


def test_a_file_of_no_bytes_completes() -> None:
    sim = Simulation()
    ports = sim.world.ports()
    params = msgspec.structs.replace(PARAMS, options=ExportOptions(header=False, csv_bom=False))
    opened = sim.finish(sim.spawn("open", lambda: open_with(ports, params, "order-1")))
    ref = opened.result
    assert isinstance(ref, TaskRef)
    sim.oracle.read_file = read_no_rows
    sim.finish(sim.spawn("close", Actions(sim).close(ref, batches=0, rows=0)))
    ring_all(sim)
    task = sim.world.tasks.read(ref)
    assert task is not None
    assert (task.state, task.result_size, sim.world.store.peek(task.result_key)) == ("completed", 0, b"")


def test_what_is_remembered_of_a_task_does_not_outlive_its_tombstone() -> None:
    """The key is free again then, and may be opened with other columns elsewhere."""
    world, ports = straight_ports()
    params_cache = ParamsCache(ports)
    ref = open_with(ports, PARAMS, "order-1")
    put_batch(ports, params_cache, ref, sequence=1, batch=Batch.of_rows([("1", "a")], 2))
    for _ in range(40):
        world.time.sleep(TIMINGS.tombstone_s / 4)
        sweep_tasks(ports)
    assert world.tasks.read(ref) is None
    one_column = msgspec.structs.replace(PARAMS, columns=(ColumnSpec("sequence"),))
    assert open_with(ports, one_column, "order-1") == ref
    with pytest.raises(SluiceError) as refused:
        put_batch(ports, params_cache, ref, sequence=1, batch=Batch.of_rows([("1", "a")], 2))
    assert refused.value.code is ErrorCode.ROW_WIDTH_MISMATCH


def test_a_batch_for_a_deleted_task_is_told_that_it_was_deleted() -> None:
    """Also when the task had failed or completed before."""
    sim = Simulation()
    ref = completed(sim)
    actions = Actions(sim)
    sim.finish(sim.spawn("delete", actions.delete(ref)))
    put = sim.finish(sim.spawn("put", actions.put(ref, 9, (("9", "late"),))))
    close = sim.finish(sim.spawn("close", actions.close(ref, batches=3, rows=None)))
    codes = [error.error.code for error in (put, close) if isinstance(error.error, SluiceError)]
    assert codes == [ErrorCode.TASK_DELETED, ErrorCode.TASK_DELETED]


def test_a_batch_for_a_deleted_failed_task_is_told_that_it_was_deleted() -> None:
    sim = Simulation()
    ref = exhausted(sim)
    recover(sim)
    actions = Actions(sim)
    sim.finish(sim.spawn("delete", actions.delete(ref)))
    for sequence, rows in ((9, (("9", "late"),)), (1, sim.oracle.facts(ref).acked[1].rows)):
        put = sim.finish(sim.spawn("put", actions.put(ref, sequence, rows)))
        assert isinstance(put.error, SluiceError)
        assert put.error.code is ErrorCode.TASK_DELETED


def test_a_task_rendered_again_by_two_requests_at_once_is_created_once() -> None:
    sim = Simulation()
    source = completed(sim)
    journal = RecordedJournal()
    ports = replace(sim.world.ports(), journal=journal)
    request = RenderRequest(options=SEMICOLONS, idempotency_key="again")
    first, second = (sim.spawn("render", partial(render_again, ports, source, request)) for _ in range(2))
    sim.advance(first, 3)
    sim.finish(second)
    sim.finish(first)
    assert isinstance(first.result, Opened)
    assert first.result.replayed
    assert len(journal.of(Event.TASK_CREATED)) == 1


@pytest.mark.parametrize("calls", range(9))
def test_of_two_renders_at_once_one_gets_the_last_place(calls: int) -> None:
    """Wherever the first stands when the second comes by."""
    sim = Simulation(limits=msgspec.structs.replace(LIMITS, renders_max=1))
    source = completed(sim)
    requests = (RenderRequest(options=SEMICOLONS, idempotency_key=key) for key in ("one", "two"))
    first, second = (sim.spawn("render", partial(render_again, sim.world.ports(), source, at)) for at in requests)
    sim.advance(first, calls)
    sim.finish(second)
    sim.finish(first)
    refused = [actor.error for actor in (first, second) if actor.error is not None]
    assert [error.code for error in refused if isinstance(error, SluiceError)] == [ErrorCode.QUOTA_EXCEEDED]
    task = sim.world.tasks.read(source)
    assert task is not None
    (made,) = task.renders
    assert sim.world.tasks.read(TaskRef(source.tenant, TaskId(made))) is not None


def test_an_upload_that_outlives_its_row_is_aborted_by_the_weekly_walk() -> None:
    """A composer sleeps until nothing is left of its task, and then begins its upload."""
    sim, ref = begin(sealed)
    zombie = compose(sim, ref)
    while (request := zombie.request()) is not None and request.call != "objects.begin_upload":
        sim.step(zombie)
    sim.finish(sim.spawn("cancel", Actions(sim).cancel(ref)))
    for _ in range(8):
        sim.pass_time(TIMINGS.tombstone_s)
        sim.finish(sim.spawn("sweep", Actions(sim).sweep()))
    assert sim.world.tasks.read(ref) is None
    sim.step(zombie)
    sim.kill(zombie)
    young = sim.finish(sim.spawn("reconcile", Actions(sim).reconcile(orphan_age_s=60)))
    assert young.error is None
    assert len(list(sim.world.store.list_uploads(""))) == 1  # it may belong to a task to be
    sim.pass_time(61)
    sim.finish(sim.spawn("reconcile", Actions(sim).reconcile(orphan_age_s=60)))
    assert list(sim.world.store.list_uploads("")) == []


def test_close_without_totals_may_follow_close_with_totals() -> None:
    world, ports = straight_ports()
    ref = open_with(ports, PARAMS, "order-1")
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("1", "a")], 2))
    first = close_export(ports, ref, CloseRequest(batches=1, rows=1))
    assert close_export(ports, ref, CloseRequest()).man_sha == first.man_sha
    del world
