"""Where a body of any length is cut into batches."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.http.table_rows import batch_size, csv_cuts, ndjson_cuts
from sluice.api.rows import RowShape
from sluice.domain.limits import KIB, Limits
from sluice.domain.schema import ColumnSpec

SMALL = Limits(batch_rows_max=7, batch_bytes_max=400)


def shape_for(names: list[str] | None) -> RowShape:
    return RowShape(columns=tuple(ColumnSpec(name) for name in names or ["a", "b"]), rows_max=1_000)


def pieces(body: bytes, cut: int) -> Iterator[bytes]:
    return (body[start : start + cut] for start in range(0, len(body), cut))


cell = st.text(st.sampled_from('a,"\r\né\u2028 '), max_size=12)


@given(st.lists(st.tuples(cell, cell), max_size=30), st.integers(1, 60))
def test_a_csv_body_is_cut_at_the_same_rows_however_it_arrives(rows: list[tuple[str, str]], cut: int) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("x", "y"), *rows])
    body = text.getvalue().encode()
    whole = [cut.to_batch().to_rows() for cut in csv_cuts([body], SMALL, shape_for, has_header=True)]
    again = [cut.to_batch().to_rows() for cut in csv_cuts(pieces(body, cut), SMALL, shape_for, has_header=True)]
    assert whole == again
    assert [row for batch in whole for row in batch] == rows
    assert all(1 <= len(batch) <= 7 for batch in whole)


@given(st.lists(st.integers(0, 150), max_size=30), st.integers(1, 60))
def test_an_ndjson_body_is_cut_at_the_same_rows_however_it_arrives(lengths: list[int], cut: int) -> None:
    body = b"".join(b'["%b",1]\n\n' % (b"x" * length) for length in lengths)
    whole = [cut.to_batch().to_rows() for cut in ndjson_cuts([body], SMALL, shape_for, has_header=True)]
    again = [cut.to_batch().to_rows() for cut in ndjson_cuts(pieces(body, cut), SMALL, shape_for, has_header=True)]
    assert whole == again
    assert [len(row[0] or "") for batch in whole for row in batch] == lengths
    sizes = [sum(len(row[0] or "") + 11 for row in batch) for batch in whole]
    assert all(size <= 300 or len(batch) == 1 for size, batch in zip(sizes, whole, strict=True))


def test_batches_are_made_as_the_body_arrives() -> None:
    taken = 0

    def body() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"1,2\n" * 7

    cuts = csv_cuts(body(), SMALL, shape_for, has_header=False)
    assert [next(cuts).rows for _ in range(3)] == [7, 7, 7]
    assert taken <= 5


def test_what_the_body_raises_passes_through() -> None:
    def body() -> Iterator[bytes]:
        yield b"1,2\n"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(csv_cuts(body(), SMALL, shape_for, has_header=False))


def test_batches_grow_so_that_every_table_fits() -> None:
    limits = Limits()
    sizes = [batch_size(sequence, limits) for sequence in range(1, limits.batches_max + 1)]
    assert all(one.rows <= next_one.rows and one.size <= next_one.size for one, next_one in pairwise(sizes))
    assert (sizes[0].rows, sizes[0].size) == (1_000, 256 * KIB)
    assert sum(size.rows for size in sizes) >= limits.rows_max
    assert all(size.rows <= limits.batch_rows_max and size.size_max < limits.batch_bytes_max for size in sizes)
