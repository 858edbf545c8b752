"""The deployed composer's memory: built layers, the deployed Python, both SDKs, a million rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.cloud import LocalCloud, deploy_variables, local_cloud
from infra.local.event_function import Invocation
from infra.local.interpreter import find_deployed_python
from sluice.adapters.cloud_credentials import Credentials, FixedCredentials
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.secret import Secret
from sluice.domain.task import State
from sluice.ports.outside import Outside
from sluice.streams.order_table import COLUMNS, order_batches
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.wiring.cloud import open_cloud
from sluice.wiring.settings import settings_from
from tests.support.recorded_journal import RecordedJournal

MB = 1_000_000
PEAK_MB_MAX = 100
ROWS = 1_000_000


def has_deployed_python() -> bool:
    try:
        return bool(find_deployed_python())
    except FileNotFoundError:
        return False


def push_orders(outside: Outside, rows: int) -> TaskRef:
    """Straight through the use cases: the relay's memory is not the question."""
    params = ExportParams(format=ExportFormat.XLSX, filename="orders", columns=COLUMNS)
    ref = open_export(outside, TenantId("acme"), OpenRequest(params)).task.ref
    definitions = Definitions(outside)
    for sequence, batch in enumerate(order_batches(rows), start=1):
        put_batch(outside, definitions, ref, sequence=sequence, batch=batch)
    close_export(outside, ref, CloseRequest(rows=rows))
    return ref


def compose_orders(cloud: LocalCloud, rows: int) -> Invocation:
    """Compose a table; returns the run of the function that did."""
    key = cloud.keys.of("sender")
    variables = {**deploy_variables(cloud.oss, cloud.ots), "SLUICE_STORAGE_BACKEND": "oss"}
    settings = settings_from({name: value for name, value in variables.items() if name.startswith("SLUICE")}, None)
    credentials = FixedCredentials(
        Credentials(key.access_key_id, Secret(key.access_key_secret), Secret(key.security_token))
    )
    with open_cloud(settings, RecordedJournal(), credentials=credentials) as outside:
        ref = push_orders(outside, rows)
        cloud.oss.settle()
        assert cloud.host.calls["compose"].settle(500)
        task = outside.tasks.read(ref)
    assert task is not None
    assert (task.state, task.result_rows) == (State.COMPLETED, rows)
    (run,) = cloud.host.invocations("compose")
    return run


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(600)
@pytest.mark.skipif(not has_deployed_python(), reason="the deployed Python is not on this machine")
def test_the_deployed_composer_stays_below_100_mb_at_a_million_rows(tmp_path: Path) -> None:
    with local_cloud(tmp_path) as cloud:
        assert cloud.interpreter.note == "", "the layers were not built"
        run = compose_orders(cloud, ROWS)
    assert run.outcome == "success"
    assert run.import_peak_bytes < run.peak_bytes < PEAK_MB_MAX * MB
