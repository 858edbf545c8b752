"""What actors do: production use cases, with the oracle told what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Consistency, Pulled
from sluice.domain.run import Output, Run
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.target import TableTarget
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.make_link import make_link
from sluice.usecases.reading.read_task import read_status
from sluice.usecases.running.open_run import open_run
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.repair_task import release_lease, trigger_again
from sluice.usecases.upkeep.sweep_tasks import SWEEP_MAX, Swept, sweep_tasks
from sluice.usecases.work_off import work_off
from tests.support.simulation.actors import ask
from tests.support.simulation.oracle import Content, Rows, Violation
from tests.support.simulation.simulation import Simulation

TENANT = TenantId("acme")
SPLITS = 3
"""Of the table that moves."""
PARAMS = ExportParams(
    format=ExportFormat.CSV,
    filename="orders",
    columns=(ColumnSpec("sequence"), ColumnSpec("value")),
    options=ExportOptions(reuse=False),
)
"""Each task makes a file of its own, so that every run sees a whole composition."""
SHARED_PARAMS = msgspec.structs.replace(PARAMS, options=ExportOptions())
"""Tasks of the same rows have one file."""
SHEETS = ("orders", "lines")
SHEETS_PARAMS = ExportParams(
    format=ExportFormat.XLSX,
    filename="shop",
    sheets=tuple(TableSpec(name, PARAMS.columns) for name in SHEETS),
    options=PARAMS.options,
)
"""Two tables of equal columns, so that nothing but care keeps their rows apart."""
SEMICOLONS = ExportOptions(line_ending="lf", quote_all=True, reuse=False)
"""What differs when a table is rendered again; its rows read the same."""

Action = Callable[[], object]


def pulled_params(version: str, consistency: Consistency) -> Pulled:
    """The table that moves, as an export or a run reads it."""
    return Pulled(
        dataset="orders",
        version=version,
        connection="shop",
        table="orders",
        key=("sequence",),
        consistency=consistency,
        splits=SPLITS,
        columns=("sequence", "value"),
    )


class Actions:
    """Makes the work of actors, each as a process of its own with its own clock."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim

    def open(self, key: str, *, params: ExportParams = PARAMS, tenant: TenantId = TENANT) -> Action:
        def action() -> TaskRef:
            return open_export(self._ports(), tenant, OpenRequest(params, idempotency_key=key)).task.ref

        return action

    def pull(self, key: str, consistency: Consistency) -> Action:
        """Open an export whose rows are those of the table that moves."""
        pulled = pulled_params("1", consistency)
        return self.open(key, params=msgspec.structs.replace(PARAMS, pulled=pulled))

    def run(self, version: str, consistency: Consistency = "key") -> Action:
        """Open the run of a tick, as a scheduler does whose file of the job is of this version."""
        pulled = pulled_params(version, consistency)
        outputs = (
            Output(name="lines", format=ExportFormat.CSV, filename="orders", options=PARAMS.options),
            Output(name="warehouse", target=TableTarget(connection="dwh", table="orders")),
        )
        run = Run(job="orders", version=version, tick="2026-12-01T02:30:00+00:00", asked=version, outputs=outputs)
        params = msgspec.structs.replace(PARAMS, format=ExportFormat.JSONL, pulled=pulled, run=run)

        def action() -> TaskRef:
            return open_run(self._ports(), TENANT, params).task.ref

        return action

    def put(self, ref: TaskRef, sequence: int, rows: Rows, *, sheet: int = 0) -> Action:
        oracle, content = self._sim.oracle, Content(rows, sheet)

        def action() -> bool:
            oracle.offer(ref, sequence, content)
            ports = self._ports()
            is_cold = self._sim.chaotic and self._sim.chance.random() < 0.5
            params_cache = ParamsCache(ports) if is_cold else self._sim.warm
            batch = Batch.of_rows(rows, len(PARAMS.columns))
            receipt = put_batch(ports, params_cache, ref, sequence=sequence, batch=batch, sheet=sheet)
            if (receipt.sequence, receipt.rows) != (sequence, len(rows)):
                raise Violation("I2 the receipt is of another batch")
            oracle.acknowledge(ref, sequence, content)
            return receipt.replayed

        return action

    def close(
        self, ref: TaskRef, *, batches: int | None, rows: int | None, sheets: Mapping[str, int] | None = None
    ) -> Action:
        def action() -> str:
            try:
                task = close_export(self._ports(), ref, CloseRequest(batches, rows, sheets))
            except SluiceError as error:
                if error.code is ErrorCode.BATCHES_MISSING:
                    missing = error.facts["missing"]
                    assert isinstance(missing, list)
                    self._sim.oracle.refuse_missing(ref, missing)
                raise
            if task.state.value == "open":
                raise Violation("a close was acknowledged and the task is open")
            return task.state.value

        return action

    def cancel(self, ref: TaskRef) -> Action:
        def action() -> None:
            cancel_export(self._ports(), ref)
            self._sim.oracle.acknowledge_cancel(ref)

        return action

    def delete(self, ref: TaskRef) -> Action:
        def action() -> None:
            self._sim.oracle.facts(ref).deleted = True
            delete_export(self._ports(), ref)

        return action

    def compose(self, trigger: ManifestRef) -> Action:
        def action() -> Outcome:
            return work_off(self._ports(), trigger)

        return action

    def sweep(self, *, limit: int = SWEEP_MAX) -> Action:
        def action() -> list[tuple[Swept, int]]:
            return sorted(sweep_tasks(self._ports(), limit=limit).items())

        return action

    def reconcile(self, *, orphan_age_s: float) -> Action:
        def action() -> object:
            return reconcile_stores(self._ports(), orphan_age_s=orphan_age_s)

        return action

    def read(self, ref: TaskRef) -> Action:
        """Ask for the status and, if there is one, follow the link."""

        def action() -> str:
            ports = self._ports()
            task = read_status(ports, ref)
            link = make_link(ports, ref)
            key = link.url.removeprefix("memory:").partition("?")[0]
            data = ask("download", lambda: self._sim.world.store.peek(key))
            self._sim.oracle.download(ref, key, data)
            return task.state.value

        return action

    def render(self, source: TaskRef, key: str) -> Action:
        def action() -> TaskRef:
            request = RenderRequest(options=SEMICOLONS, idempotency_key=key)
            return render_again(self._ports(), source, request).task.ref

        return action

    def release(self, ref: TaskRef, owner: str | None = None, *, alone: bool = False) -> Action:
        """What a supervisor does that believes a composer dead, rightly or wrongly."""

        def action() -> bool:
            return release_lease(self._ports(), ref, owner=owner, alone=alone)

        return action

    def ring(self, ref: TaskRef) -> Action:
        def action() -> None:
            trigger_again(self._ports(), ref)

        return action

    def _ports(self) -> Ports:
        sim = self._sim
        skew_s = sim.chance.uniform(-30, 30) if sim.chaotic else 0.0
        return sim.world.ports(skew_s=skew_s)
