"""Tables of lines are read row by row, and what is no table is refused at its place."""

from __future__ import annotations

import csv
import io
import random
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.schema import ColumnSpec
from sluice.tables.readers.batching import Hints, TableReader
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.records import RowShape

HINTS = Hints(no_header="say so", names="name them", encoding="name another")
Row = tuple[str | None, ...]


def csv_table(data: str | bytes, *, encoding: str = "utf-8", delimiter: str = ",", has_header: bool = True) -> CsvTable:
    body = data.encode() if isinstance(data, str) else data
    options = CsvOptions(delimiter=delimiter, encoding=encoding, has_header=has_header)
    return CsvTable([body], Limits(), options, hints=HINTS)


def json_table(*lines: str) -> JsonLinesTable:
    return JsonLinesTable(["\n".join(lines).encode()], Limits(), hints=HINTS)


def rows_of(table: TableReader, columns: Iterable[str] = (), null_value: str | None = None) -> list[Row]:
    names = tuple(columns) or table.read_names()
    shape = RowShape(columns=tuple(map(ColumnSpec, names)), rows_max=50_000, null_value=null_value)
    return [row for read in table.batches(shape) for row in read.batch.to_rows()]


def refusal(table: TableReader, columns: Iterable[str] = ()) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        rows_of(table, columns)
    return caught.value


def test_a_csv_header_names_the_columns_and_quoted_cells_come_whole() -> None:
    table = csv_table('id,note\r\n1,"a, ""b""\nc"\r\n2,\r\n')
    assert table.read_names() == ("id", "note")
    assert rows_of(table) == [("1", 'a, "b"\nc'), ("2", "")]


def test_blank_lines_are_no_rows_in_a_table_of_several_columns() -> None:
    assert rows_of(csv_table("a,b\n\n1,2\n\n\n3,4\n\n")) == [("1", "2"), ("3", "4")]


def test_a_blank_line_is_an_empty_cell_in_a_table_of_one_column() -> None:
    assert rows_of(csv_table("a\n1\n\n3\n")) == [("1",), ("",), ("3",)]


def test_without_a_header_the_first_line_is_a_row() -> None:
    assert rows_of(csv_table("1,2\n", has_header=False), ("a", "b")) == [("1", "2")]


def test_only_the_null_value_is_null() -> None:
    assert rows_of(csv_table("a,b\nNULL,\nnull,NULL \n"), null_value="NULL") == [(None, ""), ("null", "NULL ")]


@pytest.mark.parametrize(("line", "cells"), [("1", 1), ("1,2,3", 3)])
def test_a_row_of_another_width_is_refused_with_its_row_and_line(line: str, cells: int) -> None:
    error = refusal(csv_table(f'a,b\n"x\ny",1\n{line}\n'))
    assert error.code is ErrorCode.ROW_WIDTH_MISMATCH
    assert error.facts == {"row": 2, "line": 4, "cells": cells, "columns": 2}


def test_the_line_of_a_row_is_where_it_begins() -> None:
    table = csv_table('a,b\n\n"x\ny",1\n\n"three\nlines\nlong"\n')
    assert refusal(table).facts == {"row": 2, "line": 6, "cells": 1, "columns": 2}


def test_a_quote_that_is_never_closed_is_refused_where_its_row_begins() -> None:
    error = refusal(csv_table('a,b\n0,0\n1,"2\n3,4\n'))
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.facts == {"row": 2, "line": 3}


@pytest.mark.parametrize("text", ['1,"2"x', "1,2\r3,4"])
def test_what_stands_where_it_may_not_is_refused(text: str) -> None:
    error = refusal(csv_table(f"a,b\n{text}\n"))
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.facts == {"row": 1, "line": 2}


@pytest.mark.parametrize(("text", "said"), [("", "empty"), ("\n", "blank"), ("\r\n\r\na,b\n1,2\n", "blank")])
def test_csv_begins_with_its_header(text: str, said: str) -> None:
    with pytest.raises(SluiceError, match=f"{said}.*; say so") as caught:
        csv_table(text)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts == {"field": "header", "line": 1}


def test_a_header_of_the_most_columns_may_have_a_line_break_where_the_text_is_cut() -> None:
    limits = Limits(columns_max=3)
    assert CsvTable([b'"a\n', b'b",c,d\n'], limits).read_names() == ("a\nb", "c", "d")
    with pytest.raises(SluiceError) as caught:
        CsvTable([b'"a\n', b'b",c,d,e\n'], limits)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.TOO_MANY_COLUMNS, {"columns_max": 3})


def test_a_header_that_is_no_csv_is_refused() -> None:
    with pytest.raises(SluiceError) as caught:
        csv_table('a,"b\n1,2\n')
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_REQUEST, {"line": 1})


def test_the_header_is_held_to_the_declared_columns() -> None:
    for columns in (("a",), ("b", "a"), ("a", "b", "c"), ("A", "b")):
        error = refusal(csv_table("a,b\n1,2\n"), columns)
        assert (error.code, error.facts) == (ErrorCode.INVALID_REQUEST, {"field": "header", "line": 1})
        assert "; say so" in error.detail


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2), max_size=20))
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    assert rows_of(csv_table(text.getvalue())) == [tuple(row) for row in rows]


def test_the_delimiter_is_the_one_that_is_named() -> None:
    assert rows_of(csv_table("a;b\n1;2,5\n", delimiter=";")) == [("1", "2,5")]


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "utf-32", "utf-16-le", "big5", "iso2022_jp", "utf-8-sig"])
@pytest.mark.parametrize("piece_bytes", [1, 3, 1_000])
def test_text_is_read_in_its_encoding_however_it_is_cut(encoding: str, piece_bytes: int) -> None:
    text = "\ufeff" * (encoding == "utf-16-le") + "名,中\n中山,1\n大人,2\n"
    data = text.encode(encoding)
    blocks = (data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes))
    table = CsvTable(blocks, Limits(), CsvOptions(encoding=encoding))
    assert table.read_names() == ("名", "中")
    assert rows_of(table) == [("中山", "1"), ("大人", "2")]


@pytest.mark.parametrize(
    ("encoding", "bad"), [("utf-8", b"\xff"), ("utf-8", b"\xed\xa0\x80"), ("gbk", b"\xff"), ("ascii", b"\xe9")]
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000])
def test_what_is_no_text_is_refused_at_its_place_and_what_stands_before_it_is_not_lost(
    encoding: str, bad: bytes, piece_bytes: int
) -> None:
    data = b'a,b\n1,"x\ny"\n2,z\n3,' + bad + b"\n4,w\n"
    blocks = (data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes))
    table = CsvTable(blocks, Limits(batch_rows_max=1), CsvOptions(encoding=encoding), hints=HINTS)
    shape = RowShape(columns=(ColumnSpec("a"), ColumnSpec("b")), rows_max=9)
    reads = table.batches(shape)
    assert [next(reads).batch.to_rows() for _ in range(2)] == [[("1", "x\ny")], [("2", "z")]]
    with pytest.raises(SluiceError, match="name another") as caught:
        next(reads)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_TEXT, {"row": 3, "line": 5})


def test_a_text_that_ends_in_the_middle_of_a_character_is_refused() -> None:
    data = "a\n中".encode("gbk")[:-1]
    assert refusal(csv_table(data, encoding="gbk")).code is ErrorCode.INVALID_TEXT


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("piece_bytes", [1, 3, 1_000])
def test_a_text_that_lacks_the_mark_of_its_encoding_is_refused(encoding: str, piece_bytes: int) -> None:
    data = "a\n1\n".encode(f"{encoding}-le")
    blocks = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    with pytest.raises(SluiceError, match="name another") as caught:
        CsvTable(blocks, Limits(), CsvOptions(encoding=encoding), hints=HINTS)
    assert caught.value.code is ErrorCode.INVALID_TEXT
    named = CsvTable(blocks, Limits(), CsvOptions(encoding=encoding, has_header=False, names=("a",)), hints=HINTS)
    error = refusal(named, "a")
    assert (error.code, error.facts) == (ErrorCode.INVALID_TEXT, {"row": 1, "line": 1})


def test_the_keys_of_the_first_object_are_the_columns() -> None:
    table = json_table('{"id": 1, "paid": true}', "", '{"paid": null}', '{"paid": false, "id": "x"}')
    assert table.read_names() == ("id", "paid")
    assert rows_of(table) == [("1", "true"), (None, None), ("x", "false")]


def test_numbers_keep_every_digit_as_it_was_sent() -> None:
    sent = ["9007199254740993", "1.0", "0.30000000000000004", "1e400", "-0", "123456789012345678901234567890"]
    assert rows_of(json_table(f"[{','.join(sent)}]"), "abcdef") == [tuple(sent)]


def test_a_number_with_thousands_of_digits_is_refused() -> None:
    assert rows_of(json_table(f"[{'7' * 4_300}]"), "a") == [("7" * 4_300,)]
    error = refusal(json_table("[1]", f"[{'7' * 5_000}]"), "a")
    assert (error.code, error.facts) == (ErrorCode.INVALID_REQUEST, {"row": 2, "line": 2})


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ('{"id": 1, "extra": 2}', {"keys": ["extra"]}),
        ('{"id": 1, "id": 2}', {}),
        ('{"id": NaN}', {}),
        ('{"id": 1', {"position": 8}),
        ("[1]" * 2, {"position": 3}),
        ("[1]", {}),
        ('"text"', {}),
        ("[" * 100_000, {}),
        ('\ufeff{"id": 1}', {"position": 0}),
    ],
)
def test_a_line_that_is_no_row_is_refused_with_its_number(line: str, facts: dict[str, object]) -> None:
    error = refusal(json_table('{"id": 1}', " ", line))
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.facts == {"row": 2, "line": 3, **facts}


@pytest.mark.parametrize("cell", ["[1]", '{"a": 1}'])
def test_a_cell_that_is_no_value_is_refused_with_its_place(cell: str) -> None:
    for table in (json_table('{"id": 1}', "", f'{{"id": {cell}}}'), json_table("[1]", "", f"[{cell}]")):
        error = refusal(table, ["id"])
        assert error.code is ErrorCode.INVALID_VALUE
        assert error.facts == {"row": 2, "line": 3, "column": "id"}


def test_an_array_of_another_width_is_refused() -> None:
    error = refusal(json_table("[1]", "[1, 2]"), "a")
    assert error.code is ErrorCode.ROW_WIDTH_MISMATCH
    assert error.facts == {"row": 2, "line": 2, "cells": 2, "columns": 1}


@pytest.mark.parametrize("lines", [("[1, 2]",), ("{}",), ("",)])
def test_rows_that_name_no_columns_need_names(lines: tuple[str, ...]) -> None:
    with pytest.raises(SluiceError, match="name them") as caught:
        json_table(*lines).read_names()
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_REQUEST, {"field": "columns"})


def test_csv_without_a_header_names_no_columns() -> None:
    with pytest.raises(SluiceError, match="name them") as caught:
        csv_table("1,2\n", has_header=False).read_names()
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_REQUEST, {"field": "columns"})


def test_empty_ndjson_with_column_names_is_an_empty_table() -> None:
    assert rows_of(json_table(""), "a") == []


def test_json_that_is_not_utf8_is_refused() -> None:
    error = refusal(JsonLinesTable([b'{"a": "x"}\n{"a": "\xff"}\n'], Limits()))
    assert (error.code, error.facts) == (ErrorCode.INVALID_TEXT, {"row": 2, "line": 2})


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert rows_of(csv_table(b"\xef\xbb\xbfid\n1\n"), ["id"]) == [("1",)]
    assert rows_of(json_table('\ufeff{"id": 1}'), ["id"]) == [("1",)]


@pytest.mark.parametrize("piece_bytes", [1, 5, 10_000])
def test_the_rows_before_an_error_are_cut_the_same_however_they_arrive(piece_bytes: int) -> None:
    """Of two errors the first is reported, and every batch that was full before it is given out."""

    def outcome(table: TableReader) -> tuple[list[int], object, object]:
        shape = RowShape(columns=(ColumnSpec("a"),), rows_max=9)
        rows: list[int] = []
        with pytest.raises(SluiceError) as caught:
            rows += (read.batch.rows for read in table.batches(shape))
        return rows, caught.value.code, caught.value.facts

    def pieces(body: bytes) -> Iterator[bytes]:
        return (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))

    limits = Limits(batch_rows_max=2)
    lines = b"[1]\n[2]\n[3]\n[[4]]\n[5]\nno JSON\n"
    place = {"row": 4, "line": 4, "column": "a"}
    assert outcome(JsonLinesTable(pieces(lines), limits)) == ([2], ErrorCode.INVALID_VALUE, place)
    text = b'a\n1\n2\n3\n4,4\n5\n6"x\n"7"x\n'
    place = {"row": 4, "line": 5, "cells": 2, "columns": 1}
    assert outcome(CsvTable(pieces(text), limits)) == ([2], ErrorCode.ROW_WIDTH_MISMATCH, place)


@pytest.mark.parametrize("piece_bytes", [1_000, 100_000])
def test_a_row_longer_than_a_batch_may_be_is_refused_where_it_begins(piece_bytes: int) -> None:
    limits = Limits(batch_bytes_max=4 * KIB)
    shape = RowShape(columns=(ColumnSpec("a"),), rows_max=99)

    def place(table: TableReader) -> object:
        with pytest.raises(SluiceError) as caught:
            list(table.batches(shape))
        assert caught.value.code is ErrorCode.BATCH_TOO_LARGE
        return caught.value.facts

    def pieces(body: bytes) -> Iterator[bytes]:
        return (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))

    never_closed = b'a\n1\n"2\n' + b"3\n" * 100_000
    assert place(CsvTable(pieces(never_closed), limits)) == {"row": 2, "line": 3}
    assert place(CsvTable(pieces(b"a\n1\n" + b"x" * 50_000), limits)) == {"row": 2, "line": 3}
    assert place(JsonLinesTable(pieces(b'["1"]\n\n["' + b"x" * 50_000 + b'"]\n["2"]\n'), limits)) == {
        "row": 2,
        "line": 3,
    }


@pytest.mark.parametrize("piece_bytes", [997, 64 * KIB - 1, 64 * KIB, 70_000, 10_000_000])
@pytest.mark.parametrize("lines_of_a_cell", [2, 40, 4_000])
def test_rows_with_line_breaks_are_read_wherever_the_text_was_cut(piece_bytes: int, lines_of_a_cell: int) -> None:
    chance = random.Random(lines_of_a_cell)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["a", "b", "c", "d"])
    while text.tell() < 1_500_000:
        cell = '\n"'.join(["line, of a cell"] * chance.choice([1, lines_of_a_cell]))
        writer.writerow([cell, "plain", cell, "last"])
    body = text.getvalue().encode()
    table = CsvTable(
        (body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)), Limits(), hints=HINTS
    )
    assert rows_of(table) == list(map(tuple, csv.reader(io.StringIO(text.getvalue(), newline=""))))[1:]


@pytest.mark.parametrize("row_bytes", [1_000, 200_000])
def test_a_row_of_too_many_cells_is_refused_before_they_are_made(row_bytes: int) -> None:
    """Of a row that goes on over many blocks, some of which begin in a quoted cell; the rows before it are right."""
    right = '"two\nlines","two\nlines"\n' * 3_000
    wide = f'"{"x" * (row_bytes // 4)}\n",' * 3 + "," * 500_000
    table = CsvTable([f"a,b\n{right}{wide}\n".encode()], Limits(), hints=HINTS)
    tracemalloc.start()
    try:
        refused = refusal(table)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB  # a list of all cells takes 30 at the least
    finally:
        tracemalloc.stop()
    place = {"row": 3_001, "line": 9_002, "columns": 2}
    assert (refused.code, refused.facts) == (ErrorCode.ROW_WIDTH_MISMATCH, place)


@pytest.mark.slow
def test_lines_that_name_few_of_many_columns_become_rows_some_at_a_time() -> None:
    """A line of two bytes is a row of 16,384 cells: a block of them must not be all rows at once."""
    names = [f"c{number}" for number in range(16_384)]
    head = b"{" + b",".join(b'"%b":1' % name.encode() for name in names) + b"}\n"
    table = JsonLinesTable([head + b"{}\n" * 4_000], Limits())
    shape = RowShape.of_names(table.read_names(), None, Limits())
    tracemalloc.start()
    try:
        batches = table.batches(shape)
        assert [next(batches).batch.rows for _ in range(3)] == [8, 8, 8]
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB  # all rows at once are 500
    finally:
        tracemalloc.stop()
