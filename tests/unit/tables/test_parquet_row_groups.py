"""Row groups are bounded in bytes and rows, and cut at the same rows however the rows arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.limits import MIB
from sluice.domain.options import ExportFormat
from sluice.tables.file_plan import FilePlan
from sluice.tables.writers.parquet.columns import Fields
from sluice.tables.writers.parquet.row_groups import (
    CELL_BYTES,
    GROUP_BYTES_MIN,
    GROUP_ROWS,
    RowGroup,
    RowGroups,
    group_bytes,
    memory_bytes_max,
)
from tests.support.csv_files import strings, table_of
from tests.support.format_files import FormatFiles, read_parquet

Cell = bytes | None
TABLES = st.lists(st.tuples(*[st.none() | st.binary(max_size=30)] * 2), max_size=40)


def gather(rows: Sequence[Sequence[Cell]], cut: int, *, bytes_max: int, rows_max: int) -> list[list[list[Cell]]]:
    """The rows of each group, when they come ``cut`` at a time."""
    groups = RowGroups(2, bytes_max=bytes_max, rows_max=rows_max)
    found: list[RowGroup] = []
    for first in range(0, len(rows), cut):
        piece = rows[first : first + cut]
        fields = [
            Fields([row[column] or b"" for row in piece], bytes(row[column] is None for row in piece))
            for column in range(2)
        ]
        found += groups.add(fields, len(piece))
    found += groups.rest()
    return [unpacked(group) for group in found]


def unpacked(group: RowGroup) -> list[list[Cell]]:
    columns = []
    for column in group.columns:
        cells: list[Cell] = []
        rest = bytes(column.data)
        for length, is_null in zip(column.lengths, column.nulls, strict=True):
            cells.append(None if is_null else rest[:length])
            rest = rest[length:]
        assert rest == b""
        columns.append(cells)
    assert group.rows == len(columns[0])
    return [list(row) for row in zip(*columns, strict=True)]


def size(row: Sequence[Cell]) -> int:
    return sum(len(cell or b"") + CELL_BYTES for cell in row)


@given(TABLES, st.integers(1, 9), st.integers(1, 200), st.integers(1, 10))
def test_groups_hold_all_rows_in_order_and_end_with_the_row_that_fills_them(
    rows: list[tuple[Cell, Cell]], cut: int, bytes_max: int, rows_max: int
) -> None:
    groups = gather(rows, cut, bytes_max=bytes_max, rows_max=rows_max)
    assert [tuple(row) for group in groups for row in group] == rows
    assert all(groups)
    for group in groups:
        assert len(group) <= rows_max
        assert sum(map(size, group[:-1])) < bytes_max
    for group in groups[:-1]:
        assert len(group) == rows_max or sum(map(size, group)) >= bytes_max


@given(TABLES, st.integers(1, 41), st.integers(1, 200), st.integers(1, 10))
def test_the_cuts_do_not_depend_on_how_the_rows_arrive(
    rows: list[tuple[Cell, Cell]], cut: int, bytes_max: int, rows_max: int
) -> None:
    limits = {"bytes_max": bytes_max, "rows_max": rows_max}
    assert gather(rows, cut, **limits) == gather(rows, 41, **limits)


@pytest.mark.parametrize(("bytes_max", "rows_max"), [(3 * size([b"x", None]), 99), (99_999, 3)])
def test_a_group_is_given_out_with_the_row_that_fills_it_exactly(bytes_max: int, rows_max: int) -> None:
    groups = RowGroups(2, bytes_max=bytes_max, rows_max=rows_max)
    three = [Fields([b"x"] * 3, bytes(3)), Fields([b""] * 3, b"\1" * 3)]
    assert [[group.rows for group in groups.add(three, 3)] for _ in range(2)] == [[3], [3]]
    assert list(groups.rest()) == []


def plan(columns: int, rows: int, cell_bytes: int) -> FilePlan:
    table = table_of([], strings(*map(str, range(columns))))
    return replace(table, rows=rows, size=rows * columns * cell_bytes)


def test_row_groups_grow_only_where_the_footer_would_outgrow_them() -> None:
    assert group_bytes(plan(10, 10_000_000, 15)) == GROUP_BYTES_MIN
    assert group_bytes(plan(1, 0, 0)) == GROUP_BYTES_MIN
    wide = plan(1_000, 100_000, 8)
    assert 24 * MIB < group_bytes(wide) < 48 * MIB
    assert memory_bytes_max(wide) < 256 * MIB
    assert memory_bytes_max(plan(10, 10_000_000, 15)) < 40 * MIB


def test_a_file_has_groups_of_the_stated_size(tmp_path: Path) -> None:
    parquet = FormatFiles(ExportFormat.PARQUET)
    many = read_parquet(parquet.write([("1",)] * (GROUP_ROWS + 1), strings("a")).data, tmp_path)
    assert many.group_rows == [GROUP_ROWS, 1]
    cell = "x" * (9_992)
    large = read_parquet(parquet.write([(cell,)] * 2_000, strings("a")).data, tmp_path)
    rows_of_group = -(-GROUP_BYTES_MIN // (9_992 + CELL_BYTES))
    assert large.group_rows == [rows_of_group, rows_of_group, 2_000 - 2 * rows_of_group]


@pytest.mark.slow
@pytest.mark.parametrize("batch_rows", [1, 7, 1_000, 5_000])
def test_a_file_of_several_groups_is_the_same_however_its_rows_were_cut(batch_rows: int) -> None:
    parquet = FormatFiles(ExportFormat.PARQUET)
    rows = [("x" * (number * 7919 % 9_001), None if number % 3 else "") for number in range(5_000)]
    assert parquet.write(rows, strings("a", "b"), batch_rows=batch_rows) == parquet.write(rows, strings("a", "b"))
