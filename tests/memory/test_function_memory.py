"""The deployed composer's memory: built layers, the deployed Python, both SDKs, a million rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.emulators.function_compute.interpreter import find_deployed_python
from infra.local.cloud import local_cloud
from tests.memory.test_composer_memory import orders
from tests.support.deployed_runs import compose_deployed

MB = 1_000_000
PEAK_MB_MAX = 100
ROWS = 1_000_000


def has_deployed_python() -> bool:
    try:
        return bool(find_deployed_python())
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.timeout(600)
@pytest.mark.skipif(not has_deployed_python(), reason="the deployed Python is not on this machine")
def test_the_deployed_composer_stays_below_100_mb_at_a_million_rows(tmp_path: Path) -> None:
    with local_cloud(tmp_path) as cloud:
        assert cloud.interpreter.note == "", "the layers were not built"
        run = compose_deployed(cloud, ROWS, batches=orders(ROWS))
    assert run.import_peak_bytes < run.peak_bytes < PEAK_MB_MAX * MB
