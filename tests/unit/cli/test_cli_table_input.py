"""Rows of files and pipes become batches, and what is no table is refused where it begins."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sluice.cli.export.csv_input import CsvRows
from sluice.cli.export.ndjson_input import NdjsonRows
from sluice.cli.export.table_input import (
    InputFormat,
    InputOptions,
    cut,
    delimiter_of,
    input_format_of,
    open_table,
)
from sluice.domain.errors import ErrorCode, SluiceError


def csv_rows(text: str, **options: str | tuple[str, ...]) -> CsvRows:
    return CsvRows(io.StringIO(text, newline=""), **options)  # type: ignore[arg-type]  # shorter tests


def ndjson_rows(*lines: str, columns: tuple[str, ...] = ()) -> NdjsonRows:
    return NdjsonRows(io.BytesIO("\n".join(lines).encode()), columns=columns)


def refusal(rows: Iterator[object]) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        list(rows)
    return caught.value


def test_a_csv_header_names_the_columns_and_quoted_cells_come_whole() -> None:
    rows = csv_rows('id,note\r\n1,"a, ""b""\nc"\r\n2,\r\n')
    assert rows.columns == ("id", "note")
    assert list(rows) == [["1", 'a, "b"\nc'], ["2", ""]]


def test_blank_lines_are_no_rows_in_a_table_of_several_columns() -> None:
    assert list(csv_rows("a,b\n\n1,2\n\n\n3,4\n\n")) == [["1", "2"], ["3", "4"]]


def test_a_blank_line_is_an_empty_cell_in_a_table_of_one_column() -> None:
    assert list(csv_rows("a\n1\n\n3\n")) == [["1"], [""], ["3"]]


def test_given_column_names_leave_the_first_line_a_row() -> None:
    assert list(csv_rows("1,2\n", columns=("a", "b"))) == [["1", "2"]]


def test_only_the_null_value_is_null() -> None:
    assert list(csv_rows("a,b\nNULL,\nnull,NULL \n", null_value="NULL")) == [[None, ""], ["null", "NULL "]]


@pytest.mark.parametrize(("line", "cells"), [("1", 1), ("1,2,3", 3)])
def test_a_row_of_another_width_is_refused_with_its_row_and_line(line: str, cells: int) -> None:
    error = refusal(iter(csv_rows(f'a,b\n"x\ny",1\n{line}\n')))
    assert error.code is ErrorCode.ROW_WIDTH_MISMATCH
    assert error.facts == {"row": 2, "line": 4, "cells": cells, "columns": 2}


def test_a_quote_that_is_never_closed_is_refused() -> None:
    error = refusal(iter(csv_rows('a,b\n1,"2\n3,4\n')))
    assert error.code is ErrorCode.INVALID_REQUEST


def test_text_after_a_closing_quote_is_refused() -> None:
    assert refusal(iter(csv_rows('a,b\n1,"2"x\n'))).facts["line"] == 2


def test_an_empty_csv_input_is_refused() -> None:
    with pytest.raises(SluiceError, match="empty"):
        csv_rows("\n\n")


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2), max_size=20))
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    assert list(csv_rows(text.getvalue())) == rows


def test_the_keys_of_the_first_object_are_the_columns() -> None:
    rows = ndjson_rows('{"id": 1, "paid": true}', "", '{"paid": null}', '{"paid": false, "id": "x"}')
    assert rows.columns == ("id", "paid")
    assert list(rows) == [["1", "true"], [None, None], ["x", "false"]]


def test_numbers_keep_every_digit_as_it_was_sent() -> None:
    sent = ["9007199254740993", "1.0", "0.30000000000000004", "1e400", "-0", "123456789012345678901234567890"]
    (row,) = ndjson_rows(f"[{','.join(sent)}]", columns=tuple("abcdef"))
    assert row == sent


def test_a_number_with_thousands_of_digits_is_kept() -> None:
    (row,) = ndjson_rows(f"[{'7' * 5000}]", columns=("a",))
    assert row == ["7" * 5000]


@pytest.mark.parametrize(
    "line",
    [
        '{"id": 1, "extra": 2}',
        '{"id": 1, "id": 2}',
        '{"id": [1]}',
        '{"id": NaN}',
        '{"id": 1',
        "[1]" * 2,
        '"text"',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_row_is_refused_with_its_number(line: str) -> None:
    error = refusal(iter(ndjson_rows('{"id": 1}', line)))
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.facts["line"] == 2


def test_an_array_of_another_width_is_refused() -> None:
    error = refusal(iter(ndjson_rows("[1, 2]", columns=("a",))))
    assert error.code is ErrorCode.ROW_WIDTH_MISMATCH


def test_arrays_without_column_names_are_refused() -> None:
    with pytest.raises(SluiceError, match="--columns"):
        ndjson_rows("[1, 2]")


def test_empty_ndjson_with_column_names_is_an_empty_table() -> None:
    assert list(ndjson_rows("", columns=("a",))) == []


def test_bytes_that_are_not_utf8_are_refused() -> None:
    rows = NdjsonRows(io.BytesIO(b'{"a": "x"}\n{"a": "\xff"}\n'))
    assert refusal(iter(rows)).code is ErrorCode.INVALID_TEXT


@given(st.lists(st.lists(st.none() | st.text(max_size=6), min_size=3, max_size=3), max_size=60))
def test_cutting_loses_nothing_and_keeps_both_bounds(rows: list[list[str | None]]) -> None:
    pieces = list(cut(rows, rows_max=5, weight_max=20))
    assert [row for piece in pieces for row in piece] == rows
    for piece in pieces:
        weight = sum(len(row) + sum(len(cell or "") for cell in row) for row in piece)
        assert len(piece) <= 5
        assert weight <= 20 or len(piece) == 1


@pytest.mark.parametrize(("rows", "pieces"), [(4, 1), (5, 1), (6, 2)])
def test_a_batch_is_full_at_exactly_its_rows(rows: int, pieces: int) -> None:
    assert len(list(cut([["x"]] * rows, rows_max=5, weight_max=1000))) == pieces


@pytest.mark.parametrize(("weight_max", "pieces"), [(5, 2), (6, 1), (7, 1)])
def test_a_batch_is_full_at_exactly_its_weight(weight_max: int, pieces: int) -> None:
    assert len(list(cut([["ab"], ["cd"]], rows_max=9, weight_max=weight_max))) == pieces


def test_cutting_reads_no_further_than_it_must() -> None:
    def rows() -> Iterator[list[str]]:
        yield ["1"]
        yield ["2"]
        yield ["3"]
        raise AssertionError("read too far")

    assert next(cut(rows(), rows_max=2, weight_max=1000)) == [["1"], ["2"]]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(path: Path, *, encoding: str = "utf-8") -> list[tuple[str | None, ...]]:
    chosen = InputOptions(format=input_format_of(path), delimiter=delimiter_of(path), encoding=encoding)
    with open_table(path, chosen) as table:
        return [table.columns, *(row for batch in table.batches() for row in batch.to_rows())]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", b"\xef\xbb\xbfid\n1\n")) == [("id",), ("1",)]
    assert read(write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"id": 1}')) == [("id",), ("1",)]


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tsv.gz", gzip.compress(b"a\tb\n1\t2\n"))) == [("a", "b"), ("1", "2")]
    assert read(write(tmp_path / "a.ndjson.gz", gzip.compress(json.dumps({"a": 1}).encode()))) == [("a",), ("1",)]


def test_the_encoding_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "姓名\n张三\n".encode("gbk")), encoding="gbk") == [("姓名",), ("张三",)]


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SluiceError, match="--encoding") as caught:
        read(write(tmp_path / "a.csv", "姓名\n张三\n".encode("gbk")))
    assert caught.value.code is ErrorCode.INVALID_TEXT


def test_an_encoding_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="utf-7000"):
        read(write(tmp_path / "a.csv", b"a\n"), encoding="utf-7000")


def test_the_position_grows_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a\n" + b"12345678\n" * 30_000)
    with open_table(path, InputOptions(InputFormat.CSV)) as table:
        positions = [table.position() for _ in table.batches()]
    assert positions == sorted(positions)
    assert positions[-1] == table.size == path.stat().st_size
