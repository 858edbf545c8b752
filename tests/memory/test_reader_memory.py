"""A whole worker process that reads a table and composes its file needs the same memory for any number of rows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sluice.app.definitions import load_definitions
from sluice.demo.pulled_orders import define_orders
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.user import User
from sluice.usecases.pulling.make_params import PullRequest, make_params
from tests.support.composed_runs import DataDirectory

MB = 1_000_000
PEAK_MAX = 80 * MB
GROWTH_MAX = 8 * MB


def pulled(folder: Path, rows: int) -> tuple[DataDirectory, ExportParams]:
    definitions = define_orders(folder, rows)
    dataset = load_definitions(definitions).datasets["orders"]
    request = PullRequest(format=ExportFormat.XLSX)
    params = make_params(dataset, User(name="ann", permissions=frozenset({"orders:read"})), request)
    data = DataDirectory(folder / "data", env={"SLUICE_DATASETS_DEFINITIONS": str(definitions)})
    return data, msgspec.structs.replace(params, filename="orders.xlsx")


@pytest.mark.long
@pytest.mark.memory
@pytest.mark.slow
def test_a_reader_stays_below_80_mb_for_any_number_of_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (100_000, 600_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        data, params = pulled(folder, rows)
        peaks.append(data.compose(data.open(params)))
    print(f"100,000 rows: {peaks[0] / MB:.1f} MB; 600,000: {peaks[1] / MB:.1f} MB")
    assert max(peaks) <= PEAK_MAX
    assert peaks[1] - peaks[0] <= GROWTH_MAX
