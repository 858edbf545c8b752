"""A composer that was believed dead: it may do at any moment whatever it was about to do."""

from __future__ import annotations

from itertools import product

import pytest

from sluice.ports.retry import CHANGES
from sluice.usecases.lease import Outcome
from tests.support.simulation.actions import Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.faults import FAULTS, Fault, NoFaults, ScriptedFaults
from tests.support.simulation.scenarios import begin, compose, opened, row_of, sealed, trigger_of
from tests.support.simulation.settling import settle
from tests.support.simulation.simulation import Simulation
from tests.support.simulation.zombies import Switches, run_all_switches

CALLS = 17
"""One composer's calls, and a few."""
AGAIN = (0, 1, 2, 4, 8, CALLS)


@pytest.mark.slow
@pytest.mark.parametrize(("dies_sending", "supervised"), list(product((False, True), repeat=2)))
def test_two_composers_make_one_file(dies_sending: bool, supervised: bool) -> None:  # noqa: FBT001 - parameters
    how = Switches(dies_sending=dies_sending, supervised=supervised)
    run_all_switches(range(2, CALLS), range(CALLS + 1), AGAIN, how)


@pytest.mark.slow
@pytest.mark.parametrize("dies_sending", [False, True])
def test_a_cancel_ends_two_composers(dies_sending: bool) -> None:  # noqa: FBT001 - a parameter
    how = Switches(dies_sending=dies_sending, cancelled=True)
    run_all_switches(range(2, CALLS), range(0, CALLS + 1, 2), AGAIN, how)


@pytest.mark.parametrize("fault", [Fault.ERR_BEFORE, Fault.ERR_LATE])
def test_a_finish_that_nobody_answers_is_neither_assumed_nor_undone(fault: Fault) -> None:
    """No answer to any try, and the row does not show the step: it may yet land, so nothing is cleaned up."""
    sim = Simulation()
    ref = sealed(sim)
    composer = compose(sim, ref)
    while (request := composer.request()) is not None and not request.call.endswith("to completed"):
        sim.step(composer)
    sim.plan = ScriptedFaults({sim.calls + tries: fault for tries in range(int(CHANGES.tries))})
    sim.finish(composer)
    assert composer.result == Outcome.UNKNOWN
    assert sim.state(ref) == "composing"
    settle(sim)
    assert sim.state(ref) == "completed"
    assert row_of(sim, ref).epoch == (1 if fault is Fault.ERR_LATE else 2)


@pytest.mark.parametrize("fault", [Fault.OK, *FAULTS])
def test_a_task_cancelled_before_any_call_of_a_composer_never_gets_a_file(fault: Fault) -> None:
    """Bad input 31: also right before the call that finishes, and also when that call is on its way."""
    for calls in range(CALLS + 3):
        for cancel_calls in (1, 2, 3):
            cancel_while_composing(calls, cancel_calls, fault)


def cancel_while_composing(calls: int, cancel_calls: int, fault: Fault) -> None:
    """The composer makes its next call, with ``fault``, when the cancel is done or in the middle of its own calls."""
    sim, ref = begin(sealed)
    composer = compose(sim, ref)
    sim.advance(composer, calls)
    cancel = sim.spawn("cancel", Actions(sim).cancel(ref))
    sim.advance(cancel, cancel_calls)
    if not composer.done:
        sim.plan = ScriptedFaults({sim.calls: fault})
        sim.step(composer)
        sim.plan = NoFaults()
    sim.finish(cancel)
    settle(sim)
    told = "cancelled" if cancel.error is None else "completed"
    assert sim.state(ref) == told
    objects = [item.key for item in sim.world.store.list("out/")]
    assert len(objects) == (told == "completed")


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_task_cancelled_while_open_or_sealed_never_gets_a_file(is_sealed: bool) -> None:  # noqa: FBT001 - a parameter
    sim = Simulation()
    ref = sealed(sim) if is_sealed else opened(sim)
    trigger = trigger_of(sim, ref)
    actions = Actions(sim)
    sim.finish(sim.spawn("cancel", actions.cancel(ref)))
    late: list[Actor] = [
        sim.spawn("close", actions.close(ref, batches=3, rows=None)),
        sim.spawn("put", actions.put(ref, 4, (("4", "late"),))),
        sim.spawn("compose", actions.compose(trigger)),
        sim.spawn("render", actions.render(ref, "again")),
    ]
    for actor in late:
        sim.finish(actor)
    settle(sim)
    assert [task.state for task in sim.world.tasks.scan()] == ["cancelled"]
    assert list(sim.world.store.list("")) == []
