"""The deployed composer's memory: built layers, the deployed Python, both SDKs, a million rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.cloud import local_cloud
from tests.memory.test_composer_memory import orders
from tests.support.built_layers import built_layers
from tests.support.deployed_runs import compose_deployed

MB = 1_000_000
PEAK_MB_MAX = 100
ROWS = 1_000_000


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.timeout(600)
def test_the_deployed_composer_stays_below_100_mb_at_a_million_rows(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with local_cloud(tmp_path, interpreter=built_layers(tmp_path_factory).interpreter()) as cloud:
        run = compose_deployed(cloud, ROWS, batches=orders(ROWS))
    assert run.import_peak_bytes < run.peak_bytes < PEAK_MB_MAX * MB
