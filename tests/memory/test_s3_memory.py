"""A composer over S3: what obstore and reading the parts back take beside the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.demo.order_table import COLUMNS
from sluice.domain.options import ExportFormat
from tests.memory.test_composer_memory import MB, orders
from tests.support.composed_runs import DataDirectory
from tests.support.s3_server import serving_s3
from tests.support.s3_stores import CREDENTIALS, environment, s3_settings

PEAK_MAX = 80 * MB
"""16 MB more than over a directory: 12 for obstore, the rest for the parts of the object, which are of 5 MiB."""
GROWTH_MAX = 12 * MB
"""A second worksheet and an index sheet, and parts under way: 1 to 10 MB in four runs, for four times the rows."""


@pytest.mark.long
@pytest.mark.memory
@pytest.mark.slow
def test_a_composer_over_s3_stays_below_80_mb_for_any_number_of_rows(tmp_path: Path) -> None:
    """From the first size on the file is made in parts."""
    with serving_s3() as s3, environment(CREDENTIALS):
        small, large = (DataDirectory(tmp_path / name, env=s3_settings(s3, s3.add_bucket())) for name in "ab")
        first = small.compose(small.seal(ExportFormat.XLSX, COLUMNS, orders(200_000)))
        task = large.seal(ExportFormat.XLSX, COLUMNS, orders(800_000))
        peaks = {"xlsx": large.compose(task), "csv": large.compose(large.seal_again(task, ExportFormat.CSV))}
    print(f"200,000 rows: {first / MB:.1f} MB; 800,000:", {name: f"{peak / MB:.1f} MB" for name, peak in peaks.items()})
    assert max(peaks.values()) <= PEAK_MAX
    assert peaks["xlsx"] - first <= GROWTH_MAX
