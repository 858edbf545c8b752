"""Bells, shares, repairs and garbage at their time: what no invariant of the simulation would miss."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.manifest import Manifest
from sluice.usecases.reading.read_result import Verified
from sluice.usecases.upkeep.repair_task import verify_result
from tests.support.simulation.actions import Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.scenarios import (
    Prepare,
    begin,
    completed,
    compose,
    failed,
    opened,
    row_of,
    sealed,
    trigger_of,
)
from tests.support.simulation.sender import code_of
from tests.support.simulation.settling import outlive, recover, ring_all
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.world import LIMITS, TIMINGS

POSTPONE_S = 15


def sweep(sim: Simulation) -> Actor:
    return sim.finish(sim.spawn("sweep", Actions(sim).sweep()))


def close(sim: Simulation, ref: TaskRef) -> Actor:
    return sim.finish(sim.spawn("close", Actions(sim).close(ref, batches=None, rows=None)))


def test_a_lost_trigger_is_rung_again_once_its_grace_is_over() -> None:
    sim, ref = begin(sealed)
    task = row_of(sim, ref)
    assert 0 < sim.world.time.now() - task.sealed_at < TIMINGS.trigger_grace_s
    sim.pass_time(task.sealed_at + TIMINGS.trigger_grace_s - sim.world.time.now() - 3)
    sweep(sim)
    assert sim.world.triggers.waiting == []
    sim.pass_time(3)
    sweep(sim)
    assert sim.world.triggers.waiting == [trigger_of(sim, ref)]
    sweep(sim)
    assert sim.world.triggers.waiting == [trigger_of(sim, ref)]  # not at every sweep


def test_closing_again_rings_again_until_a_composer_has_heard() -> None:
    sim, ref = begin(sealed)
    assert close(sim, ref).error is None
    assert sim.world.triggers.waiting == [trigger_of(sim, ref)]
    ring_all(sim)
    assert close(sim, ref).result == "completed"
    assert sim.world.triggers.waiting == []


def test_a_stale_bell_starts_nothing() -> None:
    sim, ref = begin(sealed)
    before = row_of(sim, ref)
    stale = sim.finish(sim.spawn("compose", Actions(sim).compose(ManifestRef(ref, "0" * 32))))
    assert (stale.result, row_of(sim, ref)) == ("dropped", before)


@pytest.mark.parametrize("prepare", [opened, completed, failed])
def test_a_bell_for_a_task_with_nothing_to_compose_starts_nothing(prepare: Prepare) -> None:
    sim, ref = begin(prepare)
    before = row_of(sim, ref)
    late = sim.finish(compose(sim, ref))
    assert (late.result, row_of(sim, ref)) == ("dropped", before)


def test_an_operator_rings_only_for_what_can_be_composed() -> None:
    sim, ref = begin(sealed)
    ring = sim.finish(sim.spawn("ring", Actions(sim).ring(ref)))
    assert ring.error is None
    assert sim.world.triggers.waiting == [trigger_of(sim, ref)]
    ring_all(sim)
    assert code_of(sim.finish(sim.spawn("ring", Actions(sim).ring(ref)))) is ErrorCode.NOT_READY


def test_a_tenant_over_its_share_waits_without_losing_an_attempt() -> None:
    sim = Simulation(limits=msgspec.structs.replace(LIMITS, tenant_composing_max=1))
    first = sealed(sim)
    render = sim.finish(sim.spawn("render", Actions(sim).render(first, "again")))
    second = render.result
    assert isinstance(second, TaskRef)
    assert sim.world.triggers.waiting == [trigger_of(sim, second)]
    sim.pass_time(5)  # so that a pause begun now ends at another time than the bell's grace
    sim.world.triggers.waiting.clear()
    holder = compose(sim, first)
    sim.advance(holder, 4)
    waiting = sim.finish(compose(sim, second))
    task = row_of(sim, second)
    assert (waiting.result, task.state, task.epoch) == ("postponed", "sealed", 0)
    assert sim.world.time.now() + POSTPONE_S - 3 < task.due_at <= sim.world.time.now() + POSTPONE_S
    sim.finish(holder)
    assert sim.finish(compose(sim, second)).result == "completed"


def test_a_result_that_was_stored_wrongly_is_made_again() -> None:
    sim, ref = begin(sealed)
    composer = compose(sim, ref)
    while (request := composer.request()) is not None and request.call != "objects.head":
        sim.step(composer)
    key = next(item.key for item in sim.world.store.list("out/"))
    sim.world.store.spoil(key)
    sim.finish(composer)
    task = row_of(sim, ref)
    assert (composer.result, task.last_error_code) == ("released", ErrorCode.RESULT_VERIFY_FAILED)
    recover(sim)
    assert (sim.state(ref), row_of(sim, ref).epoch) == ("completed", 2)
    assert key not in {item.key for item in sim.world.store.list("out/")}


def test_a_file_that_changed_after_it_was_finished_does_not_verify() -> None:
    sim, ref = begin(completed)
    task = row_of(sim, ref)
    right = sim.finish(sim.spawn("verify", partial(verify_result, sim.world.ports(), ref)))
    assert right.result == Verified(size=task.result_size, sha256=task.result_sha256)
    sim.world.store.spoil(task.result_key)
    wrong = sim.finish(sim.spawn("verify", partial(verify_result, sim.world.ports(), ref)))
    assert code_of(wrong) is ErrorCode.RESULT_DAMAGED
    sim.world.store.lose(task.result_key)
    gone = sim.finish(sim.spawn("verify", partial(verify_result, sim.world.ports(), ref)))
    assert code_of(gone) is ErrorCode.RESULT_MISSING


@pytest.mark.parametrize("garbage", [b"", b"garbage", b'{"tenant":"acme"}'])
def test_a_manifest_object_with_other_content_is_ignored(garbage: bytes) -> None:
    """Bad input 69: the row says which manifest it is; the claims give it back."""
    sim, ref = begin(sealed)
    key = next(item.key for item in sim.world.store.list("in/") if item.key.endswith(".manifest.json"))
    sim.world.store.put(key, garbage)
    assert sim.finish(compose(sim, ref)).result == "completed"


def test_another_task_s_manifest_is_ignored() -> None:
    sim, ref = begin(sealed)
    manifest = Manifest(ref.tenant, ref.task_id, ref.task_id, 0, ())
    key = next(item.key for item in sim.world.store.list("in/") if item.key.endswith(".manifest.json"))
    sim.world.store.put(key, manifest.encode())
    assert sim.finish(compose(sim, ref)).result == "completed"
    assert row_of(sim, ref).result_rows == 6


def test_a_batch_costs_one_put_and_one_update_once_the_task_is_known() -> None:
    sim, ref = begin(opened)
    actions = Actions(sim)
    for sequence in (4, 5):
        sim.trace.clear()
        sim.finish(sim.spawn("put", actions.put(ref, sequence, ((str(sequence), "x"),))))
    assert [call for _, call, _ in sim.trace if call != "end"] == ["objects.put", "tasks.claim"]


@pytest.mark.parametrize(("prepare", "code"), [(opened, "NOT_READY"), (failed, "ATTEMPTS_EXHAUSTED")])
def test_what_is_no_file_is_not_verified(prepare: Prepare, code: str) -> None:
    sim, ref = begin(prepare)
    verify = sim.finish(sim.spawn("verify", partial(verify_result, sim.world.ports(), ref)))
    assert isinstance(verify.error, SluiceError)
    assert verify.error.code == code


def test_everything_of_a_deleted_task_goes_at_the_next_sweep_even_if_it_had_failed() -> None:
    for prepare in (completed, failed):
        sim, ref = begin(prepare)
        sim.finish(sim.spawn("delete", Actions(sim).delete(ref)))
        sim.pass_time(1)
        sweep(sim)
        assert list(sim.world.store.list("")) == []
        outlive(sim)


def test_chunks_are_kept_for_another_rendering_until_the_retention_is_over() -> None:
    for prepare in (completed, failed):
        sim, ref = begin(prepare)
        recover(sim)
        chunks = [item.key for item in sim.world.store.list("in/") if item.key.endswith(".chunk")]
        assert len(chunks) == 3
        assert code_of(sim.finish(sim.spawn("render", Actions(sim).render(ref, "again")))) is None
