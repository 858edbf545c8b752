"""What messages mean: every field of the contract, and nothing guessed."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.grpc.requests import (
    COLUMN_TYPES,
    WIRE_FORMATS,
    read_batch,
    read_options,
    read_params,
    read_render,
    read_totals,
)
from sluice.api.rows import RowShape
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import batch_of, metadata_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=1, max_size=6)
)


def shape_of(width: int, *, rows_max: int = 100, null_value: str | None = None) -> RowShape:
    columns = tuple(ColumnSpec(f"c{index}") for index in range(width))
    return RowShape(columns=columns, rows_max=rows_max, null_value=null_value)


def refusal(batch: pb.DataBatch, shape: RowShape) -> tuple[ErrorCode, dict[str, object]]:
    with pytest.raises(SluiceError) as caught:
        read_batch(batch, shape)
    return caught.value.code, caught.value.facts


def checksum(rows: list[list[str]]) -> str:
    """The checksum as the contract words it, written a second time."""
    return hashlib.sha256(
        b"".join(struct.pack(">I", len(value.encode())) + value.encode() for row in rows for value in row)
    ).hexdigest()


@given(TABLES)
def test_every_value_arrives_in_its_place(rows: list[list[str]]) -> None:
    batch = read_batch(batch_of(rows), shape_of(len(rows[0])))
    assert batch.to_rows() == [tuple(row) for row in rows]


@given(TABLES)
def test_the_checksum_of_what_arrived_is_accepted(rows: list[list[str]]) -> None:
    shape = shape_of(len(rows[0]))
    assert read_batch(batch_of(rows, sha256=checksum(rows)), shape) == read_batch(batch_of(rows), shape)
    assert read_batch(batch_of(rows, sha256=checksum(rows).upper()), shape).rows == len(rows)


@pytest.mark.parametrize("other", [[["a", "bc"]], [["abc", ""]], [["a", "b"]], [["A", "b"]], []])
def test_row_18_the_checksum_of_other_rows_is_refused(other: list[list[str]]) -> None:
    sent = batch_of([["ab", "c"]], sha256=checksum(other))
    assert refusal(sent, shape_of(2)) == (ErrorCode.CHECKSUM_MISMATCH, {})


def test_text_that_is_no_checksum_is_refused() -> None:
    assert refusal(batch_of([["a"]], sha256="abc"), shape_of(1))[0] is ErrorCode.CHECKSUM_MISMATCH


@pytest.mark.parametrize(
    ("rows", "row", "cells"),
    [
        ([["1"]], 1, 1),
        ([["1", "2"], ["1", "2", "3"]], 2, 3),
        ([["1", "2"], [], ["1"]], 2, 0),
        ([["1", "2", "3"], ["4"]], 1, 3),  # as many cells as there should be
    ],
)
def test_row_12_a_row_that_is_too_short_or_too_long_is_named(rows: list[list[str]], row: int, cells: int) -> None:
    expected = {"row": row, "cells": cells, "columns": 2}
    assert refusal(batch_of(rows), shape_of(2)) == (ErrorCode.ROW_WIDTH_MISMATCH, expected)


def test_row_11_a_batch_without_rows_has_all_columns() -> None:
    batch = read_batch(batch_of([]), shape_of(3))
    assert (batch.rows, len(batch.columns)) == (0, 3)


@pytest.mark.parametrize(("rows", "fits"), [(2, True), (3, True), (4, False)])
def test_a_batch_has_at_most_so_many_rows(rows: int, *, fits: bool) -> None:
    batch, shape = batch_of([["x"]] * rows), shape_of(1, rows_max=3)
    if fits:
        assert read_batch(batch, shape).rows == rows
    else:
        assert refusal(batch, shape) == (ErrorCode.BATCH_TOO_LARGE, {"batch_rows_max": 3})


def test_the_null_text_means_null_and_only_the_whole_of_it() -> None:
    batch = read_batch(batch_of([["NULL", "a"], ["null", "NULLS"]]), shape_of(2, null_value="NULL"))
    assert batch.to_rows() == [(None, "a"), ("null", "NULLS")]


def test_without_a_null_text_the_empty_text_stays_a_text() -> None:
    assert read_batch(batch_of([["", "NULL"]]), shape_of(2)).to_rows() == [("", "NULL")]


def test_the_empty_text_can_mean_null() -> None:
    assert read_batch(batch_of([["", "a"]]), shape_of(2, null_value="")).to_rows() == [(None, "a")]


def test_metadata_becomes_parameters() -> None:
    column = pb.ColumnDefinition(name="Paid", data_type=pb.DATA_TYPE_BOOLEAN, width=9, format="yes/no")
    metadata = pb.ExportMetadata(
        format=pb.FORMAT_EXCEL, filename="../x", columns=[column], expected_records=0, options={"compact": True}
    )
    params = read_params(metadata)
    assert params.format is ExportFormat.XLSX
    assert params.filename == "../x"  # made safe by the use case
    assert params.columns == (ColumnSpec("Paid", ColumnType.BOOLEAN, 9, "yes/no"),)
    assert params.expected_rows == 0
    assert params.options == ExportOptions(compact=True)


def test_the_columns_of_clients_that_name_no_type_are_texts() -> None:
    assert [column.type for column in read_params(metadata_of(["a"])).columns] == [ColumnType.STRING]


def test_no_expected_records_are_not_0_records() -> None:
    assert read_params(metadata_of()).expected_rows is None


def test_every_type_of_the_contract_is_read() -> None:
    assert set(COLUMN_TYPES) == set(pb.DataType.values())
    assert set(COLUMN_TYPES.values()) == set(ColumnType)


def test_a_type_of_a_newer_contract_is_refused() -> None:
    metadata = metadata_of(["a", "b"])
    metadata.columns[1].data_type = 99  # type: ignore[assignment]  # what a newer client may send
    with pytest.raises(SluiceError) as caught:
        read_params(metadata)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts == {"field": "columns[1].data_type"}


def test_every_format_has_its_number() -> None:
    assert set(WIRE_FORMATS) == set(ExportFormat)
    assert set(WIRE_FORMATS.values()) | {pb.FORMAT_UNSPECIFIED} == set(pb.ExportFormat.values())


@pytest.mark.parametrize("number", [0, 5, 99, -1])
def test_row_6_a_format_without_a_meaning_is_refused(number: int) -> None:
    with pytest.raises(SluiceError) as caught:
        read_params(metadata_of(kind=number))  # type: ignore[arg-type]  # what a newer client may send
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT
    assert caught.value.facts == {"formats": ["xlsx", "csv", "jsonl", "parquet"]}


def test_options_that_were_not_sent_have_their_defaults() -> None:
    assert read_options(pb.FormatOptions()) == ExportOptions()
    assert read_options(pb.ExportMetadata().options) == ExportOptions()


def test_the_contract_has_every_option_and_no_other() -> None:
    on_the_wire = {field.name for field in pb.FormatOptions.DESCRIPTOR.fields}
    assert on_the_wire == set(ExportOptions.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("null_value", ""), ("null_value", "NULL"), ("on_invalid", "text"), ("timezone", "Asia/Shanghai"),
        ("compression_enabled", True), ("csv_delimiter", ";"), ("csv_encoding", "gb18030"), ("csv_bom", False),
        ("line_ending", "lf"), ("quote_all", True), ("formula_guard", "off"), ("on_unencodable", "replace"),
        ("header", False), ("excel_sheet_name", "Orders"), ("excel_start_row", 3), ("compact", True),
        ("on_too_long", "cut"), ("on_sheet_full", "error"), ("header_color", "FFCC00"), ("banding", True),
        ("banding", False), ("right_to_left", True), ("freeze_header", False), ("autofilter", False), ("style", "dark"),
    ],
)  # fmt: skip
def test_an_option_that_was_sent_holds(name: str, value: object) -> None:
    sent = pb.FormatOptions(**{name: value})  # type: ignore[arg-type]  # one field by its name
    assert read_options(sent) == ExportOptions(**{name: value})  # type: ignore[arg-type]  # one option by its name
    assert read_options(sent) != ExportOptions()


@pytest.mark.parametrize(
    "name", ["on_invalid", "line_ending", "formula_guard", "on_unencodable", "on_too_long", "on_sheet_full", "style"]
)
def test_a_choice_that_there_is_not_is_named_without_its_value(name: str) -> None:
    with pytest.raises(SluiceError) as caught:
        read_options(pb.FormatOptions(**{name: "sideways"}))  # type: ignore[arg-type]  # one field by its name
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts == {"field": f"options.{name}"}
    assert "sideways" not in caught.value.detail


def test_totals_that_were_not_sent_are_not_0() -> None:
    assert read_totals(pb.CloseTotals()) == (None, None, {})
    assert read_totals(pb.CloseTotals(batches=0, records=0)) == (0, 0, {})
    assert read_totals(pb.CloseTotals(batches=2, records=7, sheet_records={"a": 0})) == (2, 7, {"a": 0})


def test_a_render_that_says_nothing_keeps_everything() -> None:
    kept = read_render(pb.RenderExportRequest(task_id="t"), request_id="r")
    assert (kept.format, kept.filename, kept.options, kept.idempotency_key, kept.request_id) == (
        None, None, None, None, "r",
    )  # fmt: skip


def test_a_render_says_what_differs() -> None:
    request = pb.RenderExportRequest(
        task_id="t", format=pb.FORMAT_CSV, filename="f", options=pb.FormatOptions(), request_id="key"
    )
    differing = read_render(request, request_id="r")
    assert (differing.format, differing.filename, differing.idempotency_key) == (ExportFormat.CSV, "f", "key")
    assert differing.options == ExportOptions()
