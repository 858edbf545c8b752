"""A whole composer process, as the service starts it, needs the same memory for any number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path

import pytest

from sluice.demo.order_table import BATCH_ROWS, COLUMNS, order_batches
from sluice.domain.options import ExportFormat
from sluice.tables.batch import Batch
from tests.support.composed_runs import DataDirectory

MB = 1_000_000
PEAK_MAX = 64 * MB
GROWTH_MAX = 5 * MB


def orders(rows: int) -> Iterator[Batch]:
    """The same hundred batches again and again: making rows is not what is measured."""
    few = list(order_batches(100 * BATCH_ROWS))
    return islice(chain.from_iterable(repeat(few)), rows // BATCH_ROWS)


@pytest.mark.long
@pytest.mark.memory
@pytest.mark.slow
def test_row_65_a_composer_stays_below_64_mb_from_a_hundred_thousand_rows_to_two_million(tmp_path: Path) -> None:
    peaks: dict[ExportFormat, list[int]] = {ExportFormat.XLSX: [], ExportFormat.CSV: [], ExportFormat.JSONL: []}
    for rows in (100_000, 2_000_000):
        data = DataDirectory(tmp_path / str(rows))
        first = data.seal(ExportFormat.XLSX, COLUMNS, orders(rows))
        for name, seen in peaks.items():
            task = first if name is ExportFormat.XLSX else data.seal_again(first, name)
            seen.append(data.compose(task))
    for name, (small, large) in peaks.items():
        print(f"{name}: {small / MB:.1f} MB, {large / MB:.1f} MB")
        assert large <= PEAK_MAX
        assert large - small <= GROWTH_MAX
