"""Cells go out with every digit, and what no cell can hold is refused with its place before anything is sent."""

from __future__ import annotations

import itertools
import json
from collections import namedtuple
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from sluice.client import SluiceApiError
from sluice.client.rows import (
    BATCH_CHARS_MAX,
    BATCH_ROWS_MAX,
    BATCHES_OF_ONE_SIZE,
    Row,
    cut,
    encode_columns,
    encode_rows,
)
from sluice.domain.limits import Limits


class Plain(Enum):
    A = "a"


class Word(StrEnum):
    B = "b"


class Number(IntEnum):
    SEVEN = 7


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (20250314000000000123, "20250314000000000123"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        ("Zoë 王\u2028", '"Zoë 王\u2028"'),
        (Decimal("1.50"), '"1.50"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("-1E+300000000"), '"-1E+300000000"'),
        (Decimal("1E-300000000"), '"1E-300000000"'),
        (date(2025, 3, 14), '"2025-03-14"'),
        (datetime(2025, 3, 14, 9, 26, 53, 589793, tzinfo=UTC), '"2025-03-14T09:26:53.589793+00:00"'),
        (time(9, 26), '"09:26:00"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Plain.A, '"a"'),
        (Word.B, '"b"'),
        (Number.SEVEN, "7"),
    ],
)
def test_a_cell_is_written_as(cell: Any, expected: str) -> None:
    assert encode_rows([[cell]]).decode() == f"[[{expected}]]"


def test_rows_of_any_shape_are_taken() -> None:
    named = namedtuple("named", "a b")  # noqa: PYI024 - as database drivers make them
    rows: Sequence[Row] = [[1, "x"], (2, "y"), named(3, "z"), {"a": 4, "b": None}, MappingProxyType({"a": 5})]
    assert json.loads(encode_rows(rows)) == [[1, "x"], [2, "y"], [3, "z"], {"a": 4, "b": None}, {"a": 5}]


@pytest.mark.parametrize(
    ("cell", "code", "said"),
    [
        (float("nan"), "INVALID_VALUE", "float"),
        (float("-inf"), "INVALID_VALUE", "float"),
        (Decimal("NaN"), "INVALID_VALUE", "Decimal"),
        (b"bytes", "INVALID_VALUE", "bytes"),
        ({1, 2}, "INVALID_VALUE", "set"),
        pytest.param(10**5000, "INVALID_VALUE", "int", id="endless digits"),
        ("half a pair \ud83d", "INVALID_TEXT", "Unicode"),
    ],
)
def test_what_no_cell_can_hold_is_refused_with_its_place(cell: Any, code: str, said: str) -> None:
    for row, columns, column in (([1, cell], [], "2"), ([1, cell], ["a", "b"], "b"), ({"a": 1, "c": cell}, ["a"], "c")):
        rows: Any = [[1, 2], row]
        with pytest.raises(SluiceApiError, match=said) as caught:
            encode_rows(rows, columns)
        assert (caught.value.code, caught.value.facts) == (code, {"row": 2, "column": column})
        assert "pair" not in str(caught.value)


@pytest.mark.parametrize("row", [{1, 2}, object(), iter([1])])
def test_what_is_not_a_row_is_refused_with_its_number(row: Any) -> None:
    with pytest.raises(SluiceApiError, match="INVALID_REQUEST: A row is a sequence") as caught:
        encode_rows([[1], row])
    assert caught.value.facts == {"row": 2}


def test_a_table_is_cut_by_rows_and_by_characters_and_always_the_same() -> None:
    short = [[row] for row in range(2 * BATCH_ROWS_MAX + 1)]
    assert [len(batch) for batch in cut(short)] == [BATCH_ROWS_MAX, BATCH_ROWS_MAX, 1]
    half, huge = ["x" * (BATCH_CHARS_MAX // 2)], ["x" * (2 * BATCH_CHARS_MAX)]
    assert [len(batch) for batch in cut([half, half, half, huge, half])] == [2, 1, 1, 1]
    assert [len(batch) for batch in cut([{"a": half[0]}, {"a": half[0]}, {"a": ""}, {"a": 1}])] == [3, 1]
    assert list(cut([])) == []


def test_batches_grow_so_that_the_largest_table_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits()
    sizes = [BATCH_ROWS_MAX << min(batch // BATCHES_OF_ONE_SIZE, 3) for batch in range(limits.batches_max)]
    assert sum(sizes) >= limits.rows_max
    assert sizes[-1] <= limits.batch_rows_max
    assert limits.batch_bytes_max >= 4 * (BATCH_CHARS_MAX << 2)
    monkeypatch.setattr("sluice.client.rows.BATCH_ROWS_MAX", 1)
    row: Row = []
    cells = itertools.repeat(row, sum(size // BATCH_ROWS_MAX for size in sizes))
    assert [len(batch) for batch in cut(cells)] == [size // BATCH_ROWS_MAX for size in sizes]


def test_columns_are_names_types_or_objects() -> None:
    assert encode_columns(["id", {"name": "paid", "type": "boolean"}]) == [
        {"name": "id"},
        {"name": "paid", "type": "boolean"},
    ]
    assert encode_columns({"id": "number", "paid": {"type": "boolean", "format": "yes/no"}}) == [
        {"name": "id", "type": "number"},
        {"name": "paid", "type": "boolean", "format": "yes/no"},
    ]
