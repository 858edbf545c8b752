"""How many cells are looked at one by one: what a batch costs beyond a pass over each of its columns."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.formats import FORMATS
from sluice.tables.values import cell_checks, nulled_cells
from sluice.tables.writers.parquet import kinds

COLUMNS = (ColumnSpec("n", ColumnType.NUMBER), ColumnSpec("d", ColumnType.DATE))
NULL = ExportOptions(on_invalid="null")
ROWS = 1_000
INVALID = 10
"""Rows of which both cells are no values of their types, in two different ways."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often one cell was looked at, by the function that did."""
    counted = Counter[str]()

    def watch(module: Any, name: str) -> None:
        work = getattr(module, name)

        def watched(*arguments: Any) -> object:
            counted[name] += 1
            return work(*arguments)

        monkeypatch.setattr(module, name, watched)

    watch(cell_checks, "number_kind")
    for module in (cell_checks, kinds):
        watch(module, "read_date")
    return counted


def batch(odd: tuple[str, ...] = ("n/a", "-")) -> Batch:
    rows = [(str(row), f"2025-03-{row % 28 + 1:02}") for row in range(ROWS)]
    for row in range(INVALID):
        rows[row * 97] = (odd[row % len(odd)], "0000-00-00")
    return Batch.of_rows(rows, 2)


@pytest.mark.parametrize("file_format", ExportFormat)
def test_what_becomes_null_costs_no_look_where_the_batch_may_be_stored_as_it_is(
    file_format: ExportFormat, looks: Counter[str]
) -> None:
    FORMATS[file_format].check_sent(batch(), COLUMNS, NULL, Limits())
    assert looks == {}


def test_what_becomes_null_is_looked_at_once_for_each_text_that_is_odd_and_no_other(looks: Counter[str]) -> None:
    """A cell with a NUL keeps the column from being one text, and no CSV file can have it."""
    FORMATS[ExportFormat.CSV].check_sent(batch(("n/a", "1\0002")), COLUMNS, NULL, Limits())
    assert looks == {"number_kind": 2, "read_date": 1}


def test_a_composer_looks_once_at_each_text_that_is_odd(looks: Counter[str]) -> None:
    written = nulled_cells.as_written(batch(), COLUMNS, NULL)
    assert looks == {"number_kind": 2, "read_date": 1}
    nulls = [sum(cells.nulls) for cells in written.columns]
    assert nulls == [INVALID, INVALID]
