"""Cutting batches into slices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tables.batch import Batch
from sluice.tables.values.slices import slices

VALUES = st.none() | st.text("ab\0é", max_size=5)


@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1)),
    st.integers(1, 9),
)
def test_slices_hold_the_same_rows_in_order(rows: list[list[str | None]], rows_max: int) -> None:
    batch = Batch.of_rows(rows, len(rows[0]))
    parts = list(slices(batch, rows_max=rows_max))
    assert [row for part in parts for row in part.to_rows()] == batch.to_rows()
    assert all(1 <= part.rows <= rows_max for part in parts)


@given(st.lists(VALUES, min_size=1, max_size=30), st.integers(1, 9))
def test_a_slice_is_the_batch_that_its_rows_would_make(values: list[str | None], rows_max: int) -> None:
    for part in slices(Batch.of_columns([values], len(values)), rows_max=rows_max):
        assert part == Batch.of_rows(part.to_rows(), 1)


@pytest.mark.parametrize(("chars_max", "sizes"), [(39, [3, 3, 3, 1]), (40, [4, 4, 2]), (1, [1] * 10), (1_000, [10])])
def test_slices_are_bounded_by_characters_too(chars_max: int, sizes: list[int]) -> None:
    batch = Batch.of_columns([["123456789"] * 10], 10)  # ten with its separator
    assert [part.rows for part in slices(batch, chars_max=chars_max)] == sizes


def test_a_slice_that_is_longer_than_most_is_cut_again_only_beyond_twice_the_bound() -> None:
    batch = Batch.of_columns([["x" * 19] * 4 + [""] * 8], 12)
    assert [part.rows for part in slices(batch, chars_max=20)] == [2] * 6
    assert [part.rows for part in slices(batch, chars_max=19)] == [1] * 4 + [2] * 4


def test_a_batch_that_is_small_enough_is_not_copied() -> None:
    batch = Batch.of_columns([["a", "b"]], 2)
    assert next(slices(batch)) is batch


def test_an_empty_batch_is_one_empty_slice() -> None:
    assert [part.rows for part in slices(Batch.of_rows([], 3))] == [0]


def test_slices_are_bounded_where_few_rows_have_all_the_text() -> None:
    batch = Batch.of_columns([["x" * 99] * 20 + [""] * 980, ["y"] * 1_000], 1_000)
    parts = list(slices(batch, chars_max=500))
    assert [row for part in parts for row in part.to_rows()] == batch.to_rows()
    assert max(sum(len(str(cells.text)) for cells in part.columns) for part in parts) <= 1_000


@pytest.mark.slow
def test_slices_of_wide_tables_are_bounded_by_cells() -> None:
    batch = Batch.of_columns([[""] * 100] * 10_000, 100)
    assert {part.rows for part in slices(batch)} <= {13, 9}
