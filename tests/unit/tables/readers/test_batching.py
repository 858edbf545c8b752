"""Where the rows of a table are cut into batches: at the same rows, whatever they came from and however they came."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.limits import KIB, Limits
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import encode_batch
from sluice.tables.readers.batching import CELL_BYTES, ReadRows, batch_size, cut_batches, row_weight
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.records import RowShape, batch_of_rows

SMALL = Limits(batch_rows_max=7, batch_bytes_max=400)
WEIGHT_MAX = 300
"""Of a batch under these limits."""
Rows = list[tuple[str, str]]


def shape_of(names: Iterable[str] = ("x", "y"), **how: str) -> RowShape:
    return RowShape(columns=tuple(map(ColumnSpec, names)), rows_max=1_000, **how)  # type: ignore[arg-type]  # one text


def pieces(body: bytes, cut: int) -> Iterator[bytes]:
    return (body[start : start + cut] for start in range(0, len(body), cut))


def csv_of(rows: Rows) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("x", "y"), *rows])
    return text.getvalue().encode()


def arrays_of(rows: Rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n\n" for row in rows)


def objects_of(rows: Rows) -> bytes:
    lines = [json.dumps({"y": second, "x": first}, ensure_ascii=False) for first, second in rows]
    return "\r\n".join(lines).encode()


def from_csv(body: Iterable[bytes]) -> list[Batch]:
    return [read.batch for read in CsvTable(body, SMALL).batches(shape_of())]


def from_lines(body: Iterable[bytes]) -> list[Batch]:
    return [read.batch for read in JsonLinesTable(body, SMALL).batches(shape_of())]


Way = tuple[Callable[[Rows], bytes], Callable[[Iterable[bytes]], list[Batch]]]
WAYS: list[Way] = [(csv_of, from_csv), (arrays_of, from_lines), (objects_of, from_lines)]

cell = st.one_of(
    st.text(st.sampled_from('a,"\r\né\u2028 '), max_size=12),
    st.integers(0, 160).map(lambda length: "x" * length),
    st.integers(0, 80).map(lambda length: "数" * length),
)
tables = st.lists(st.tuples(cell, cell), max_size=30)


@given(tables, st.integers(1, 60))
def test_rows_are_cut_at_the_same_places_however_they_are_written_and_however_they_arrive(
    rows: Rows, piece_bytes: int
) -> None:
    expected = from_csv([csv_of(rows)])
    assert [row for batch in expected for row in batch.to_rows()] == rows
    for write, read in WAYS:
        body = write(rows)
        assert read([body]) == expected
        assert read(pieces(body, piece_bytes)) == expected


@given(tables)
def test_a_batch_is_full_by_its_rows_or_by_its_weight_and_no_sooner(rows: Rows) -> None:
    batches = [batch.to_rows() for batch in from_lines([arrays_of(rows)])]
    weights = [[row_weight(row, None) for row in batch] for batch in batches]
    for batch, following in pairwise(weights):
        assert len(batch) == 7 or sum(batch) >= WEIGHT_MAX or sum(batch) + following[0] > WEIGHT_MAX
    for batch in weights:
        assert 1 <= len(batch) <= 7
        assert sum(batch) <= WEIGHT_MAX or len(batch) == 1


@given(tables)
def test_a_batch_weighs_at_least_what_its_chunk_does(rows: Rows) -> None:
    head_bytes = 32
    for batch in from_csv([csv_of(rows)]):
        assert encode_batch(batch).size <= head_bytes + sum(row_weight(row, None) for row in batch.to_rows())


def test_the_weight_of_a_row_is_that_of_its_texts_and_of_its_cells() -> None:
    assert row_weight(["ab", "é", "", None, True, 17], None) == 2 + 2 + len("true") + len("17") + 6 * CELL_BYTES
    assert row_weight(["NULL", "a", "NULL"], "NULL") == row_weight([None, "a", None], None)
    assert row_weight(["a", "\ud800"], None) == 1 + 3 + 2 * CELL_BYTES


def test_the_text_that_means_null_cuts_as_null_does() -> None:
    rows = [("NULL" * 1, "x" * 30)] * 40
    shape = shape_of(null_value="NULL")
    from_texts = [read.batch for read in CsvTable([csv_of(rows)], SMALL).batches(shape)]
    body = b"\n".join(b'[null,"%b"]' % (b"x" * 30) for _ in rows)
    assert from_texts == from_lines([body])
    assert from_texts[0].to_rows()[0] == (None, "x" * 30)


def test_in_json_the_text_that_means_null_elsewhere_is_a_text_and_weighs_as_one() -> None:
    shape = shape_of(null_value="N" * 100)
    body = b"\n".join([b'["%b","%b"]' % (b"N" * 100, b"N" * 100)] * 40)
    batches = [read.batch for read in JsonLinesTable([body], SMALL).batches(shape)]
    assert batches == [read.batch for read in JsonLinesTable([body], SMALL).batches(shape_of())]
    assert len(batches) > 1
    assert batches[0].to_rows()[0] == ("N" * 100, "N" * 100)


@given(st.lists(st.integers(1, 200), max_size=40), st.lists(st.integers(1, 9), max_size=40), st.integers(0, 400))
def test_groups_and_their_bounds_do_not_move_a_cut(lengths: list[int], sizes: list[int], slack: int) -> None:
    rows = [["x" * length] for length in lengths]
    ends = [0, *(end for end in accumulate(sizes) if end < len(rows)), len(rows)]
    groups = [ReadRows(rows[a:b], range(a + 1, b + 1), sum(lengths[a:b]) + slack * (a % 2)) for a, b in pairwise(ends)]
    shape = shape_of(["x"])
    alone = [ReadRows([row], [number], len(row[0])) for number, row in enumerate(rows, 1)]
    expected = list(cut_batches(alone, shape, SMALL, batch_of_rows))
    assert list(cut_batches(groups, shape, SMALL, batch_of_rows)) == expected
    assert [line for read in expected for line in read.lines] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(("rows", "batches"), [(6, [6]), (7, [7]), (8, [7, 1])])
def test_a_batch_is_full_at_exactly_its_rows(rows: int, batches: list[int]) -> None:
    assert [batch.rows for batch in from_csv([b"x,y\n" + b"1,2\n" * rows])] == batches


@pytest.mark.parametrize(("length", "batches"), [(145, [2]), (146, [2]), (147, [1, 1])])
def test_a_batch_is_full_at_exactly_its_weight(length: int, batches: list[int]) -> None:
    rows = [("x" * length, "")] * 2  # each weighs its length and 4
    assert [batch.rows for batch in from_csv([csv_of(rows)])] == batches


def test_batches_are_made_as_the_body_arrives() -> None:
    taken = 0

    def body() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"1,2\n" * 7

    reads = CsvTable(body(), SMALL, CsvOptions(has_header=False)).batches(shape_of())
    assert [next(reads).batch.rows for _ in range(3)] == [7, 7, 7]
    assert taken <= 5


def test_cutting_reads_no_further_than_it_must() -> None:
    def body() -> Iterator[bytes]:
        yield b"[1]\n" * 7
        raise AssertionError("read too far")

    assert next(JsonLinesTable(body(), SMALL).batches(shape_of(["x"]))).batch.rows == 7


def test_what_the_body_raises_passes_through_after_the_full_batches() -> None:
    def body(text: bytes) -> Iterator[bytes]:
        yield text * 8
        raise ConnectionResetError

    csv_table = CsvTable(body(b"1,2\n"), SMALL, CsvOptions(has_header=False))
    for table in (csv_table, JsonLinesTable(body(b"[1,2]\n"), SMALL)):
        reads = table.batches(shape_of())
        assert next(reads).batch.rows == 7
        with pytest.raises(ConnectionResetError):
            next(reads)


def test_batches_grow_so_that_every_table_fits() -> None:
    limits = Limits()
    sizes = [batch_size(sequence, limits) for sequence in range(1, limits.batches_max + 1)]
    assert all(one.rows <= next_one.rows and one.weight <= next_one.weight for one, next_one in pairwise(sizes))
    assert (sizes[0].rows, sizes[0].weight) == (1_000, 256 * KIB)
    assert sum(size.rows for size in sizes) >= limits.rows_max
    assert all(size.rows <= limits.batch_rows_max and size.weight_max < limits.batch_bytes_max for size in sizes)
