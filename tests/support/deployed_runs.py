"""Runs of the deployed composer over a table of orders, on the stand-ins of the cloud."""

from __future__ import annotations

from collections.abc import Iterable

from infra.emulators.function_compute.event_function import Invocation
from infra.local.cloud import LocalCloud, deploy_variables
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.app.aliyun import open_cloud
from sluice.app.settings.validation import settings_from
from sluice.demo.order_table import COLUMNS, order_batches
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.secret import Secret
from sluice.domain.task import State
from sluice.tables.batch import Batch
from tests.support.composed_runs import seal_table
from tests.support.recorded_journal import RecordedJournal

ORDERS = ExportParams(format=ExportFormat.XLSX, filename="orders", columns=COLUMNS)


def compose_deployed(
    cloud: LocalCloud, rows: int, *, batches: Iterable[Batch] | None = None, timeout_s: float = 500
) -> Invocation:
    """Seal a table and let its trigger start the function; returns the run that wrote every row of the file.

    ``batches`` are the rows where they are not to be made anew.
    """
    key = cloud.keys.of("sender")
    variables = {**deploy_variables(cloud.oss, cloud.ots), "SLUICE_STORAGE_BACKEND": "oss"}
    settings = settings_from({name: value for name, value in variables.items() if name.startswith("SLUICE")}, None)
    credentials = FixedCredentials(
        Credentials(key.access_key_id, Secret(key.access_key_secret), Secret(key.security_token))
    )
    with open_cloud(settings, RecordedJournal(), credentials=credentials) as ports:
        ref = seal_table(ports, ORDERS, order_batches(rows) if batches is None else batches).ref
        cloud.oss.settle()
        assert cloud.host.calls["compose"].settle(timeout_s)
        task = ports.tasks.read(ref)
    assert task is not None
    assert (task.state, task.result_rows) == (State.COMPLETED, rows)
    run = cloud.host.invocations("compose")[-1]
    assert run.outcome == "success", run.payload
    return run
