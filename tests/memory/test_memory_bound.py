"""Composing stays below the bound that the composer computes, whatever the shape of the table."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from tests.support.composed_runs import DataDirectory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux"),
]

MB = 1_000_000
PEAK_MAX = 64 * MB
XLSX, CSV, JSONL = ExportFormat.XLSX, ExportFormat.CSV, ExportFormat.JSONL
ALPHABET = string.ascii_letters + string.digits + string.punctuation


class Shape(NamedTuple):
    """A table of batches that are all alike."""

    batch: Callable[[], Batch]
    batches: int


def noise(chars: int, *, seed: int) -> str:
    """Text that hardly compresses, with one character that makes all of them take four bytes each."""
    return "".join(random.Random(seed).choices(ALPHABET, k=chars - 1)) + "\U0001f381"


def noisy_cells() -> Batch:
    return Batch.of_columns([[noise(10_000, seed=100 * row + column) for row in range(40)] for column in range(10)], 40)


def equal_cells(text: str, *, rows: int, columns: int) -> Callable[[], Batch]:
    return lambda: Batch.of_columns([[text] * rows] * columns, rows)


def cell_of_emoji() -> Batch:
    return Batch.of_columns([[noise(4_000_000, seed=7)]], 1)


def few_rows_with_all_the_text() -> Batch:
    return Batch.of_columns([["\x07" * 3_900] * 1_000 + [""] * 49_000], 50_000)


NOISE_10_KB = Shape(noisy_cells, 6)
TINY_ROWS = Shape(equal_cells("x7", rows=50_000, columns=4), 4)
CONTROLS = Shape(equal_cells("\x07" * 32_000, rows=128, columns=1), 3)
UNEVEN = Shape(few_rows_with_all_the_text, 2)
WIDE = Shape(equal_cells("123-45", rows=500, columns=1_000), 3)
ROWS_OF_4_MB = Shape(equal_cells("z" * 32_000, rows=1, columns=128), 30)
ROWS_OF_4_MB_OF_CONTROLS = Shape(equal_cells("\x07" * 32_000, rows=1, columns=128), 3)
CELL_OF_4_MB_OF_CONTROLS = Shape(equal_cells("\x07" * 4_000_000, rows=1, columns=1), 3)
CELL_OF_4_MB_OF_QUOTES = Shape(equal_cells('"' * 4_000_000, rows=1, columns=1), 3)
WIDEST = Shape(equal_cells("x7", rows=24, columns=16_384), 2)
WIDEST_ROWS = Shape(equal_cells("x7", rows=1, columns=16_384), 12)
ODD_ROWS_OF_4_MB = Shape(equal_cells(" " + noise(31_000, seed=7), rows=1, columns=128), 3)
CELL_OF_4_MB_OF_EMOJI = Shape(cell_of_emoji, 3)
WORST = (ODD_ROWS_OF_4_MB, CELL_OF_4_MB_OF_EMOJI, CELL_OF_4_MB_OF_QUOTES, WIDEST)
"""These may take more than 64 MB: strings of four bytes a character, text that doubles, 16,384 columns at once."""
LOOSENESS_MAX = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    return DataDirectory(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def empty_peaks(data: DataDirectory) -> dict[ExportFormat, int]:
    """What a process takes that composes a table without rows."""
    column = (ColumnSpec("a"),)
    return {name: data.compose(data.seal(name, column, [])) for name in (XLSX, CSV, JSONL)}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param(XLSX, NOISE_10_KB, id="xlsx-noise"),
        pytest.param(XLSX, TINY_ROWS, id="xlsx-tiny-rows"),
        pytest.param(XLSX, CONTROLS, id="xlsx-controls"),
        pytest.param(XLSX, UNEVEN, id="xlsx-uneven"),
        pytest.param(XLSX, WIDE, id="xlsx-1000-columns"),
        pytest.param(XLSX, ROWS_OF_4_MB, id="xlsx-rows-of-4-mb"),
        pytest.param(XLSX, ROWS_OF_4_MB_OF_CONTROLS, id="xlsx-rows-of-4-mb-of-controls"),
        pytest.param(XLSX, ODD_ROWS_OF_4_MB, id="xlsx-odd-rows-of-4-mb"),
        pytest.param(XLSX, WIDEST, id="xlsx-16384-columns"),
        pytest.param(XLSX, WIDEST_ROWS, id="xlsx-16384-columns-row-by-row"),
        pytest.param(CSV, NOISE_10_KB, id="csv-noise"),
        pytest.param(CSV, WIDE, id="csv-1000-columns"),
        pytest.param(CSV, CELL_OF_4_MB_OF_QUOTES, id="csv-a-cell-of-4-mb-of-quotes"),
        pytest.param(JSONL, NOISE_10_KB, id="jsonl-noise"),
        pytest.param(JSONL, CELL_OF_4_MB_OF_EMOJI, id="jsonl-a-cell-of-4-mb-of-emoji"),
        pytest.param(JSONL, WIDE, id="jsonl-1000-columns"),
        pytest.param(JSONL, CELL_OF_4_MB_OF_CONTROLS, id="jsonl-a-cell-of-4-mb-of-controls"),
    ],
)
def test_a_composer_stays_below_its_bound(
    data: DataDirectory, empty_peaks: dict[ExportFormat, int], name: ExportFormat, shape: Shape
) -> None:
    batch = shape.batch()
    columns = tuple(ColumnSpec(f"c{index}") for index in range(len(batch.columns)))
    task = data.seal(name, columns, [batch] * shape.batches)
    peak, growth_max = data.compose(task), data.bound(task)
    growth = peak - empty_peaks[name]
    print(f"peak {peak / MB:.1f} MB; grown {growth / MB:.1f} of at most {growth_max / MB:.1f} MB")
    assert growth <= growth_max
    if shape in WORST:
        assert growth_max <= LOOSENESS_MAX * growth  # a bound that nothing comes near would promise nothing
    else:
        assert peak <= PEAK_MAX


def test_what_is_said_about_a_file_is_in_its_bound(data: DataDirectory, empty_peaks: dict[ExportFormat, int]) -> None:
    columns = tuple(ColumnSpec(f"c{index}") for index in range(16_384))
    batch = Batch.of_columns([["x7"]] * len(columns), 1)
    tasks = [data.seal(XLSX, columns, [batch], ExportOptions(about_sheet=about)) for about in (False, True)]
    (_, without), (peak, growth_max) = [(data.compose(task), data.bound(task)) for task in tasks]
    assert growth_max > without, "the lines count"
    assert peak - empty_peaks[XLSX] <= growth_max
