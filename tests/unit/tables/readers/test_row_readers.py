"""A whole batch of rows from JSON, NDJSON and CSV: every digit and every text as it was sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.json import DIGITS_MAX, read_json
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.records import RowShape, missing_cells

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
cells = st.one_of(
    texts.map(lambda text: (json.dumps(text), text)),
    texts.map(lambda text: (json.dumps(text, ensure_ascii=False), text)),
    numbers.map(lambda number: (number, number)),
    st.sampled_from([("true", "true"), ("false", "false"), ("null", None)]),
)
tables = st.integers(1, 4).flatmap(
    lambda width: st.tuples(st.just(width), st.lists(st.lists(cells, min_size=width, max_size=width), max_size=6))
)
gaps = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


def shape_of(width: int, **how: Any) -> RowShape:
    return RowShape(columns=tuple(ColumnSpec(f"c{index}") for index in range(width)), rows_max=1_000, **how)


def read_csv(body: bytes, shape: RowShape, *, header: bool) -> Batch:
    return CsvTable((body,), Limits(), CsvOptions(has_header=header)).batch(shape).batch


def read_ndjson(body: bytes, shape: RowShape) -> Batch:
    return JsonLinesTable((body,), Limits()).batch(shape).batch


def expected(table: list[list[tuple[str, str | None]]]) -> list[tuple[str | None, ...]]:
    return [tuple(cell[1] for cell in row) for row in table]


@given(tables, gaps)
def test_arrays_give_what_they_say(table: tuple[int, list[list[tuple[str, str | None]]]], gap: str) -> None:
    width, rows = table
    arrays = [f"[{gap}{f'{gap},{gap}'.join(cell[0] for cell in row)}{gap}]" for row in rows]
    body = f"{gap}[{f'{gap},{gap}'.join(arrays)}]{gap}".encode()
    assert read_json(body, shape_of(width)).to_rows() == expected(rows)


@pytest.mark.slow
@given(tables, gaps, st.randoms(use_true_random=False))
def test_objects_give_what_they_say(
    table: tuple[int, list[list[tuple[str, str | None]]]], gap: str, chance: Any
) -> None:
    width, rows = table
    lines = []
    for row in rows:
        pairs = [f'"c{index}"{gap}:{gap}{cell[0]}' for index, cell in enumerate(row) if cell[0] != "null"]
        chance.shuffle(pairs)
        lines.append("{" + f"{gap},".join(pairs) + "}")
    body = f"[{','.join(lines)}]".encode()
    assert read_json(body, shape_of(width)).to_rows() == expected(rows)


@pytest.mark.slow
@given(tables, st.sampled_from(["\n", "\r\n", "\n\n \n"]))
def test_lines_give_what_they_say(table: tuple[int, list[list[tuple[str, str | None]]]], end: str) -> None:
    width, rows = table
    body = end.join(f"[{','.join(cell[0] for cell in row)}]" for row in rows).encode()
    assert read_ndjson(body, shape_of(width)).to_rows() == expected(rows)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(texts, min_size=width, max_size=width), max_size=6)))
def test_csv_gives_what_it_says(rows: list[list[str]]) -> None:
    width = len(rows[0]) if rows else 1
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    batch = read_csv(text.getvalue().encode(), shape_of(width), header=False)
    assert batch.to_rows() == [tuple(row) for row in rows]


@given(st.lists(st.sampled_from(['{"a":1}', '{"a" :1}', '{"a":"\\":"}', '{"a":": b"}']), min_size=1, max_size=5))
def test_objects_that_look_odd_but_are_not_are_taken(objects: list[str]) -> None:
    shape = RowShape(columns=(ColumnSpec("a"),), rows_max=100)
    assert read_json(f"[{','.join(objects)}]".encode(), shape).rows == len(objects)


@pytest.mark.parametrize(
    "twice",
    [
        '{"a":1,"a":1}',
        '{"a" :1,"a":1}',
        '{"a" \t:1,"b":2,"a"\t:1}',
        '{"a":"x\\":y","a":"z"}',
        '{"\\u0061":1,"a":2}',
        '{"a":1,"b":{"c":1,"c":2}}',
    ],
)
def test_a_name_that_comes_twice_is_never_read_as_once(twice: str) -> None:
    shape = RowShape(columns=(ColumnSpec("a"), ColumnSpec("b")), rows_max=100)
    for read, body in ((read_json, f"[{twice}]"), (read_ndjson, twice)):
        with pytest.raises(SluiceError, match="the same name twice"):
            read(body.encode(), shape)


def test_whole_numbers_are_taken_up_to_a_length() -> None:
    longest = "9" * DIGITS_MAX
    assert read_json(f"[[{longest}]]".encode(), shape_of(1)).to_rows() == [(longest,)]
    with pytest.raises(SluiceError, match="too many digits"):
        read_json(f"[[{longest}9]]".encode(), shape_of(1))


def test_brackets_and_commas_in_texts_count_for_neither_rows_nor_cells() -> None:
    shape = RowShape(columns=(ColumnSpec("a"), ColumnSpec("b")), rows_max=2, cells_max=4)
    rows = [["[[[],", "},{"], ["],[", ",,,"]]
    assert read_json(json.dumps(rows).encode(), shape).to_rows() == [tuple(row) for row in rows]
    with pytest.raises(SluiceError) as caught:
        read_json(json.dumps([*rows, ["", ""]]).encode(), shape)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.BATCH_TOO_LARGE, {"batch_rows_max": 2})


def test_objects_leave_out_the_cells_that_they_do_not_name() -> None:
    assert missing_cells([{"c0": 1, "c1": 2, "c2": 3}, {"c1": None}, {}], shape_of(3)) == 5


def test_a_nested_cell_is_named_by_row_and_column() -> None:
    with pytest.raises(SluiceError) as caught:
        read_json(b'[["a","b"],["c",{"x":1}]]', shape_of(2))
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_VALUE, {"row": 2, "column": "c1"})


def test_objects_cannot_fill_columns_of_one_name() -> None:
    shape = RowShape(columns=(ColumnSpec("a"), ColumnSpec("a")), rows_max=10)
    with pytest.raises(SluiceError, match="send arrays"):
        read_json(b'[{"a":1}]', shape)
    assert read_json(b"[[1,2]]", shape).to_rows() == [("1", "2")]


def test_a_blank_line_is_a_row_only_of_one_column() -> None:
    assert read_csv(b"a\r\n\r\nb\r\n", shape_of(1), header=False).to_rows() == [("a",), ("",), ("b",)]
    assert read_csv(b"a,b\n\n\nc,d\n\n", shape_of(2), header=False).to_rows() == [("a", "b"), ("c", "d")]


def test_null_value_makes_nulls_of_csv_texts_quoted_or_not() -> None:
    batch = read_csv(b'x,\n"",y\n', shape_of(2, null_value=""), header=False)
    assert batch.to_rows() == [("x", None), (None, "y")]


def test_a_long_cell_and_one_with_a_nul_are_whole() -> None:
    long = "x" * 200_000
    assert read_csv(f"{long},a\0b".encode(), shape_of(2), header=False).to_rows() == [(long, "a\0b")]


def outcome(read: Callable[[bytes, RowShape], Batch], body: bytes) -> ErrorCode | None:
    """The code of the refusal; None for a batch. Anything else that is raised fails the test."""
    try:
        read(body, shape_of(2))
    except SluiceError as error:
        return error.code
    return None


@pytest.mark.parametrize("read", [read_json, read_ndjson])
def test_no_bytes_make_anything_but_a_batch_or_a_refusal(read: Any) -> None:
    @given(st.one_of(st.binary(max_size=40), st.text('[]{},:"\\ 019.-eEtrufalsn', max_size=40).map(str.encode)))
    def check(body: bytes) -> None:
        assert outcome(read, body) in {
            None,
            ErrorCode.INVALID_REQUEST,
            ErrorCode.INVALID_TEXT,
            ErrorCode.INVALID_VALUE,
            ErrorCode.ROW_WIDTH_MISMATCH,
        }

    check()


@given(st.one_of(st.binary(max_size=40), st.text('a,"\r\n', max_size=40).map(str.encode)))
def test_no_bytes_make_anything_of_csv_but_a_batch_or_a_refusal(body: bytes) -> None:
    known = {None, ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_TEXT, ErrorCode.ROW_WIDTH_MISMATCH}
    assert outcome(partial(read_csv, header=False), body) in known
