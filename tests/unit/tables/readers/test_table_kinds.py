"""What an input is known to be by its first line: the kind of table, its delimiter, or no table at all."""

from __future__ import annotations

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.schema import ColumnSpec
from sluice.tables.readers.batching import Hints, TableReader
from sluice.tables.readers.csv import CsvOptions, CsvTable, find_delimiter
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.kinds import TableKind, kind_of, open_reader
from sluice.tables.readers.records import RowShape

AB = RowShape(columns=(ColumnSpec("a"), ColumnSpec("b")), rows_max=1_000)
Rows = list[tuple[str | None, ...]]


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def rows_of(table: TableReader) -> Rows:
    return [row for read in table.batches(AB) for row in read.batch.to_rows()]


def opened(body: bytes, kind: TableKind | None = None, *, options: CsvOptions | None = None) -> TableReader:
    chosen = options or CsvOptions(delimiter="")
    return open_reader(pieces(body, 3), kind, Limits(), options=chosen, hints=Hints(kind="say which"))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"a":1}\n', TableKind.NDJSON),
        (b"{\n", TableKind.NDJSON),
        (b"{}\n", TableKind.NDJSON),
        (b"[1,2]\n", TableKind.NDJSON),
        (b'\xef\xbb\xbf ["x"]\n', TableKind.NDJSON),
        (b"[[1,2],\n", TableKind.JSON),
        (b'[ {"a":\n', TableKind.JSON),
        (b"[\n", TableKind.JSON),
        (b"[]", TableKind.JSON),
        (b"[id],[name]\n", None),
        (b"[1] first,second\n", None),
        (b"{id},name\n", None),
        (b"id,name\n", None),
        (b"", None),
    ],
)
def test_json_is_known_by_its_first_line(line: bytes, kind: TableKind | None) -> None:
    assert kind_of(line) is kind


@pytest.mark.parametrize(
    ("line", "options", "found"),
    [
        ("id,name\n", {}, (",", False)),
        ("id;name\r\n", {}, (";", False)),
        ("id\tname, first\tage\n", {}, ("\t", False)),
        ("id|name\n", {}, ("|", False)),
        ('"a;b;c",d\n', {}, (",", False)),
        ("name\n", {}, (",", False)),
        ("", {}, (",", False)),
        ("sep=;\r\n", {}, (";", True)),
        ('"sep=\t"\n', {}, ("\t", True)),
        ("SEP=|\n", {}, ("|", True)),
        ("sep=;\n", {"delimiter": ","}, (",", False)),
        ("sep=;\n", {"delimiter": ";"}, (";", True)),
        ("sep=1\n", {"has_header": False, "names": ("a",)}, (",", False)),
        ("sep=;\n", {"has_header": False, "names": ("a", "b")}, (";", True)),
        ("a;b,c\n", {"names": ("a;b", "c")}, (",", False)),
        ("a,b;c;d\n", {"names": ("a,b", "c", "d")}, (";", False)),
        ("a;b\n", {"names": ("a;b",)}, (",", False)),
        ("1,5;2\n", {"has_header": False, "names": ("a", "b", "c")}, (",", False)),
        ("1,5;2;3\n", {"has_header": False, "names": ("a", "b", "c")}, (";", False)),
        ("one; two\n", {"has_header": False, "names": ("a",)}, (",", False)),
    ],
)
def test_the_delimiter_is_what_divides_the_first_line(
    line: str, options: dict[str, object], found: tuple[str, bool]
) -> None:
    assert find_delimiter(line, CsvOptions(**{"delimiter": "", **options})) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b'[[1,2],["x\\"]",null]]', [("1", "2"), ('x"]', None)]),
        (b'\xef\xbb\xbf [\n {"a":1,\n"b":"]}"},\n{"b":2.50}\n]\n', [("1", "]}"), (None, "2.50")]),
        (b" [ ] ", []),
        (b'{"a":1,"b":true}\n[', None),
        (b"sep=;\na;b\n1;2,5\n", [("1", "2,5")]),
    ],
)
def test_a_table_is_read_by_what_it_is(body: bytes, rows: Rows | None) -> None:
    if rows is None:
        with pytest.raises(SluiceError, match="not JSON"):
            rows_of(opened(body))
    else:
        assert rows_of(opened(body)) == rows


def test_what_else_the_input_may_be_counts_where_the_content_does_not_say() -> None:
    table = open_reader([b"a,b\n"], None, Limits(), options=CsvOptions(), hints=Hints())
    assert isinstance(table, CsvTable)
    empty = open_reader([], None, Limits(), options=CsvOptions(), hints=Hints(), otherwise=TableKind.NDJSON)
    assert isinstance(empty, JsonLinesTable)


@pytest.mark.parametrize(
    ("body", "code", "facts"),
    [
        (b"[[1,2],[3", ErrorCode.INVALID_REQUEST, {"row": 2}),
        (b"[[1,2]] x", ErrorCode.INVALID_REQUEST, {"row": 2}),
        (b"[[1,2],]", ErrorCode.INVALID_REQUEST, {"row": 2}),
        (b"[[1,2]\n[3,4]]", ErrorCode.INVALID_REQUEST, {"row": 1}),
        (b"[1,2]", ErrorCode.INVALID_REQUEST, {"row": 1}),
        (b"", ErrorCode.INVALID_REQUEST, {"row": 1}),
        (b"[[1,[2]]]", ErrorCode.INVALID_VALUE, {"row": 1, "column": "b"}),
        (b'[["a\nb",1]]', ErrorCode.INVALID_REQUEST, {"row": 1, "position": 3}),
        (b"[[1,2],[1]]", ErrorCode.ROW_WIDTH_MISMATCH, {"row": 2, "cells": 1, "columns": 2}),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1_000])
def test_an_array_that_is_wrong_is_refused_at_its_row(
    body: bytes, code: ErrorCode, facts: dict[str, object], size: int
) -> None:
    with pytest.raises(SluiceError) as caught:
        rows_of(JsonLinesTable(pieces(body, size), Limits(), is_array=True))
    assert (caught.value.code, caught.value.facts) == (code, facts)


def test_an_element_larger_than_a_batch_is_refused_before_it_is_whole() -> None:
    endless = (b'[["' if not sent else b"x" * 1_000 for sent in range(1_000_000))
    with pytest.raises(SluiceError) as caught:
        rows_of(JsonLinesTable(endless, Limits(batch_bytes_max=10_000), is_array=True))
    assert (caught.value.code, caught.value.facts) == (ErrorCode.BATCH_TOO_LARGE, {"row": 1})


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"PK\x03\x04\x14\x00", "an Excel workbook, or another ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook of the old kind"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"  <!DOCTYPE html>\n", "a page in HTML or XML, perhaps that of an error"),
    ],
)
@pytest.mark.parametrize("kind", [None, *TableKind])
def test_the_files_of_other_programs_are_refused_by_name(body: bytes, found: str, kind: TableKind | None) -> None:
    with pytest.raises(SluiceError, match="no table of text") as caught:
        opened(body, kind)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.UNSUPPORTED_ENCODING, {"found": found})


def test_json_that_is_said_to_be_csv_is_refused_unless_its_first_line_is_no_header() -> None:
    with pytest.raises(SluiceError, match="say which") as caught:
        opened(b'["a","b"]\n[1,2]\n', TableKind.CSV)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.UNSUPPORTED_ENCODING, {"found": "ndjson"})
    bare = CsvOptions(delimiter="", has_header=False, names=("a", "b"))
    assert rows_of(opened(b"[1],[2]\n[3],[4]\n", TableKind.CSV, options=bare)) == [("[1]", "[2]"), ("[3]", "[4]")]
