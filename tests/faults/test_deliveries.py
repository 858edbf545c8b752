"""What is seen of runs and their deliveries can be seen to be wrong: targets that break a promise are found out."""

from __future__ import annotations

import pytest

from sluice.ports.sink import Delivery
from tests.support.simulation.faults import Fault, ScriptedFaults
from tests.support.simulation.loaded_table import LoadedTable
from tests.support.simulation.oracle import Rows, Violation
from tests.support.simulation.scenarios import DELIVER, TAKE_OVER_LOADING, Scenario, begin
from tests.support.simulation.settling import recover, settle


class WithoutLedger(LoadedTable):
    """Forgets at each beginning what it has, and takes it again."""

    def begin(self, delivery: Delivery) -> frozenset[int] | str:
        answer = super().begin(delivery)
        return answer if isinstance(answer, str) else frozenset()

    def load(self, delivery: Delivery, sequence: int, rows: Rows) -> str:
        return super().load(delivery, len(self.ledger[delivery.id]) + 1, rows)


class WithoutRows(LoadedTable):
    """Takes the entry of a chunk in its ledger, and not its rows."""

    def load(self, delivery: Delivery, sequence: int, rows: Rows) -> str:
        return super().load(delivery, sequence, () if sequence > 1 else rows)


def run_into(table: LoadedTable, scenario: Scenario, fault: dict[int, Fault]) -> None:
    sim, ref = begin(scenario.prepare)
    sim.world.target, sim.oracle.loaded = table, table.rows_of
    sim.plan = ScriptedFaults(fault)
    scenario.act(sim, ref)
    recover(sim)
    settle(sim)


@pytest.mark.parametrize(("table", "scenario"), [(WithoutLedger, TAKE_OVER_LOADING), (WithoutRows, DELIVER)])
def test_a_target_that_breaks_a_promise_is_found_out(table: type[LoadedTable], scenario: Scenario) -> None:
    run_into(LoadedTable(), scenario, {})
    with pytest.raises(Violation):
        run_into(table(), scenario, {})
