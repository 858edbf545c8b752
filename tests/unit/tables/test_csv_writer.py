"""The shape of a CSV file: lines, delimiters, quotes, null and empty, header, compression, laziness."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.demo.order_table import COLUMNS, order_batches
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import encode_batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import (
    batches_of,
    check_rows_of,
    params_of,
    read_csv,
    strings,
    table_of,
    write_csv,
)

AB = strings("a", "b")
COMMA = "\uff0c"
"""A delimiter of several bytes."""


def test_a_table_is_a_header_and_lines_that_end_in_crlf_after_a_byte_order_mark() -> None:
    written = write_csv([("1", "x"), ("2", "张伟")], AB)
    assert written.data == "\ufeffa,b\r\n1,x\r\n2,张伟\r\n".encode()
    assert written.tally.rows == 2
    assert written.tally.warnings == {}


def test_every_option_that_changes_the_shape_does() -> None:
    rows = [("1", "x,y"), (None, "")]
    assert write_csv(rows, AB, csv_bom=False).data == b'a,b\r\n1,"x,y"\r\n,""\r\n'
    assert write_csv(rows, AB, line_ending="lf").text == 'a,b\n1,"x,y"\n,""\n'
    assert write_csv(rows, AB, header=False).text == '1,"x,y"\r\n,""\r\n'
    assert write_csv(rows, AB, csv_delimiter=";").text == 'a;b\r\n1;x,y\r\n;""\r\n'
    assert write_csv(rows, AB, quote_all=True).text == '"a","b"\r\n"1","x,y"\r\n,""\r\n'


def test_fields_are_quoted_only_where_needed() -> None:
    cells = ["plain", "a,b", 'a"b', "a\rb", "a\nb", "a\r\nb", " a ", "a;b", "a\tb", "'", "", '"', ",", "#", "\\"]
    written = write_csv([(cell, "z") for cell in cells], AB, header=False)
    fields = [
        "plain",
        '"a,b"',
        '"a""b"',
        '"a\rb"',
        '"a\nb"',
        '"a\r\nb"',
        " a ",
        "a;b",
        "a\tb",
        "'",
        '""',
        '""""',
        '","',
    ]
    assert written.text == "".join(f"{field},z\r\n" for field in [*fields, "#", "\\"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "]", "-", "\\", COMMA, "🎁", "\u00a7", "1"])
def test_any_character_can_be_the_delimiter(delimiter: str) -> None:
    rows = [(f"a{delimiter}b", "x"), ("-1", delimiter), ("\\", "]^1"), (f"x{COMMA}y", "1🎁")]
    CSV.check_table(params_of(AB, csv_delimiter=delimiter, formula_guard="off"), Limits())
    written = write_csv(rows, AB, csv_delimiter=delimiter, formula_guard="off")
    assert read_csv(written.data, delimiter=delimiter) == [["a", "b"], *map(list, rows)]


def test_only_fields_with_the_wide_delimiter_are_quoted() -> None:
    written = write_csv([(f"a{COMMA}b", "c"), ("x", COMMA)], AB, header=False, csv_delimiter=COMMA)
    assert written.text == f'"a{COMMA}b"{COMMA}c\r\nx{COMMA}"{COMMA}"\r\n'


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\r", "\n", "\0", "\ufeff", "\ud800", "\\t"])
def test_what_cannot_be_a_delimiter_is_refused(delimiter: str) -> None:
    with pytest.raises(SluiceError) as caught:
        CSV.check_table(params_of(AB, csv_delimiter=delimiter), Limits())
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts["field"] == "options.csv_delimiter"


@pytest.mark.parametrize("quote_all", [False, True])
def test_null_is_nothing_and_the_empty_text_is_a_pair_of_quotes(*, quote_all: bool) -> None:
    rows = [(None, "a"), ("", "a"), ("", None), (None, None), ("", "")]
    text = write_csv(rows, AB, header=False, quote_all=quote_all).text
    a = '"a"' if quote_all else "a"
    assert text == f',{a}\r\n"",{a}\r\n"",\r\n,\r\n"",""\r\n'


def test_for_mysql_null_is_a_mark_backslashes_are_doubled_and_the_word_null_has_quotes() -> None:
    rows = [(None, "x"), ("", "NULL"), ("\\", "null")]
    text = write_csv(rows, AB, header=False, csv_dialect="mysql").text
    assert text == '\\N,x\n"","NULL"\n\\\\,"null"\n'


@pytest.mark.parametrize("kind", [ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME, ColumnType.BOOLEAN])
def test_outside_string_columns_the_empty_text_is_null(kind: ColumnType) -> None:
    columns = (ColumnSpec("a"), ColumnSpec("b", kind))
    assert write_csv([("x", ""), ("x", None)], columns, header=False).text == "x,\r\nx,\r\n"


@pytest.mark.parametrize("kind", list(ColumnType))
@pytest.mark.parametrize("quote_all", [False, True])
def test_row_60_a_row_of_one_empty_cell_survives(kind: ColumnType, *, quote_all: bool) -> None:
    written = write_csv([("",), (None,), ("",)], (ColumnSpec("", kind),), quote_all=quote_all)
    assert written.text == '""\r\n' * 4
    assert read_csv(written.data) == [[""]] * 4


def test_column_names_are_quoted_and_may_be_blank_or_repeated() -> None:
    written = write_csv([], strings("", 'a"b', "x,y", "x,y"))
    assert written.text == '"","a""b","x,y","x,y"\r\n'


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("batches", [[], [Batch.of_rows([], 2)]])
def test_a_table_without_rows_is_its_header(batches: list[Batch], *, header: bool) -> None:
    table = table_of([], AB, header=header, csv_bom=False)
    assert b"".join(CSV.write(batches, table, Tally())) == (b"a,b\r\n" if header else b"")


def test_an_empty_batch_between_others_changes_nothing() -> None:
    batches = [Batch.of_rows([("1", "2")], 2), Batch.of_rows([], 2), Batch.of_rows([("3", "4")], 2)]
    tally = Tally()
    table = table_of([("1", "2"), ("3", "4")], AB, csv_bom=False, header=False)
    assert b"".join(CSV.write(batches, table, tally)) == b"1,2\r\n3,4\r\n"
    assert tally.rows == 2


@pytest.mark.parametrize("rows", [0, 1, 3, 4])
def test_another_number_of_rows_than_sealed_is_an_error(rows: int) -> None:
    table = table_of([("x", "y")] * 2, AB)
    blocks = CSV.write(batches_of([("x", "y")] * rows, 2, 1), table, Tally())
    with pytest.raises(SluiceError) as caught:
        list(blocks)
    assert caught.value.code is ErrorCode.ROW_COUNT_MISMATCH
    assert caught.value.facts == {"rows_sealed": 2, "rows_written": min(rows, 3)}


def test_the_header_comes_before_the_first_batch_is_asked_for_and_batches_come_one_by_one() -> None:
    asked = []

    def source() -> Iterator[Batch]:
        for number in range(3):
            asked.append(number)
            yield Batch.of_rows([(str(number), "x")], 2)

    blocks = CSV.write(source(), table_of([("1", "x")] * 3, AB, csv_bom=False), Tally())
    assert next(blocks) == b"a,b\r\n"
    assert asked == []
    assert next(blocks) == b"0,x\r\n"
    assert asked == [0]
    assert next(blocks) == b"1,x\r\n"
    assert asked == [0, 1]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_exception_of_the_source_passes_through(*, compressed: bool) -> None:
    def source() -> Iterator[Batch]:
        yield Batch.of_rows([("1", "x")], 2)
        raise OSError("gone")

    table = table_of([("1", "x")] * 2, AB, compression_enabled=compressed)
    with pytest.raises(OSError, match="gone"):
        list(CSV.write(source(), table, Tally()))


def test_a_large_batch_comes_in_blocks_of_bounded_size() -> None:
    rows = [(str(number), "x" * 50) for number in range(20_000)]
    blocks = list(CSV.write(batches_of(rows, 2), table_of(rows, AB), Tally()))
    assert len(blocks) > 10
    assert max(map(len, blocks)) < 300_000
    assert read_csv(b"".join(blocks))[1:] == [list(row) for row in rows]


def test_the_format_names_its_extension_and_media_type() -> None:
    assert CSV.extension(ExportOptions(), 0) == "csv"
    assert CSV.extension(ExportOptions(compression_enabled=True), 0) == "csv.gz"
    assert CSV.media_type(ExportOptions(), 0) == "text/csv; charset=utf-8"
    assert CSV.media_type(ExportOptions(csv_encoding="GBK"), 0) == "text/csv; charset=gbk"
    assert CSV.media_type(ExportOptions(compression_enabled=True), 0) == "application/gzip"


def test_any_number_of_rows_is_accepted() -> None:
    CSV.check_rows(params_of(AB), [10**12], Limits())


def test_a_compressed_file_is_one_gzip_member_without_a_time() -> None:
    rows = [(str(number), "x") for number in range(5_000)]
    data = write_csv(rows, AB, compression_enabled=True).data
    assert gzip.decompress(data) == write_csv(rows, AB).data
    stream = zlib.decompressobj(wbits=31)
    stream.decompress(data)
    assert stream.eof
    assert stream.unused_data == b""
    assert data[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("column", "cell", "options"),
    [
        (ColumnSpec("a"), '"' * 200, {}),
        (ColumnSpec("a"), '"' * 200, {"compression_enabled": True}),
        (ColumnSpec("a"), '"' * 200, {"csv_encoding": "utf-16"}),
        (ColumnSpec("a"), "\u00c0" * 200, {"csv_encoding": "gb18030"}),
        (ColumnSpec("a"), "=", {"quote_all": True, "csv_delimiter": "\U0001f381"}),
        (ColumnSpec("a" * 250), "x", {}),
        (ColumnSpec("a", ColumnType.BOOLEAN, format=f"{'x' * 100}/n"), "1", {}),
        (ColumnSpec("a", ColumnType.BOOLEAN), "0", {"quote_all": True}),
        (ColumnSpec("a", ColumnType.DATE, format='dddd"""mmmm'), "2025-09-24", {}),
        (ColumnSpec("a", ColumnType.DATE, format=" ".join(["dddd"] * 50)), "2025-09-24", {}),
        (ColumnSpec("a", ColumnType.DATE, format="上午/下午" * 9), "2025-09-24", {"csv_encoding": "utf-16"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", [0, 1, 300])
def test_no_file_is_larger_than_its_bound(column: ColumnSpec, cell: str, options: dict[str, Any], rows: int) -> None:
    table = [(cell,)] * rows
    written = write_csv(table, [column], **options)
    assert len(written.data) <= CSV.size_bound(table_of(table, [column], **options))


def test_the_size_bound_is_no_more_than_three_times_the_order_table() -> None:
    size = sum(encode_batch(batch).size for batch in order_batches(3_000))
    table = FilePlan(columns=COLUMNS, options=ExportOptions(), rows=3_000, size=size)
    written = sum(map(len, CSV.write(order_batches(3_000), table, Tally())))
    assert written <= CSV.size_bound(table) <= 3 * written


def test_a_batch_of_good_values_is_accepted() -> None:
    check_rows_of([("1", "=1"), (None, "a\r\nb"), ("", "\ufeff")], AB)
