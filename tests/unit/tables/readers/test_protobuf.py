"""Batches that are messages of the contract: every value in its place, or a refusal that names it."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.schema import ColumnSpec
from sluice.proto import export_pb2 as pb
from sluice.tables.readers.protobuf import read_message, read_protobuf
from sluice.tables.readers.records import RowShape
from tests.support.grpc_client import batch_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=1, max_size=6)
)


def shape_of(width: int, *, rows_max: int = 100, null_value: str | None = None) -> RowShape:
    columns = tuple(ColumnSpec(f"c{index}") for index in range(width))
    return RowShape(columns=columns, rows_max=rows_max, null_value=null_value)


def refusal(batch: pb.DataBatch, shape: RowShape) -> tuple[ErrorCode, dict[str, object]]:
    with pytest.raises(SluiceError) as caught:
        read_message(batch, shape)
    return caught.value.code, caught.value.facts


def checksum(rows: list[list[str]]) -> str:
    """The checksum as the contract words it, written a second time."""
    return hashlib.sha256(
        b"".join(struct.pack(">I", len(value.encode())) + value.encode() for row in rows for value in row)
    ).hexdigest()


@given(TABLES)
def test_every_value_arrives_in_its_place(rows: list[list[str]]) -> None:
    batch = read_message(batch_of(rows), shape_of(len(rows[0])))
    assert batch.to_rows() == [tuple(row) for row in rows]


@given(TABLES)
def test_the_checksum_of_what_arrived_is_accepted(rows: list[list[str]]) -> None:
    shape = shape_of(len(rows[0]))
    assert read_message(batch_of(rows, sha256=checksum(rows)), shape) == read_message(batch_of(rows), shape)
    assert read_message(batch_of(rows, sha256=checksum(rows).upper()), shape).rows == len(rows)


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
    batch = read_message(batch_of([]), shape_of(3))
    assert (batch.rows, len(batch.columns)) == (0, 3)


@pytest.mark.parametrize(("rows", "fits"), [(2, True), (3, True), (4, False)])
def test_a_batch_has_at_most_so_many_rows(rows: int, *, fits: bool) -> None:
    batch, shape = batch_of([["x"]] * rows), shape_of(1, rows_max=3)
    if fits:
        assert read_message(batch, shape).rows == rows
    else:
        assert refusal(batch, shape) == (ErrorCode.BATCH_TOO_LARGE, {"batch_rows_max": 3})


def test_the_null_text_means_null_and_only_the_whole_of_it() -> None:
    batch = read_message(batch_of([["NULL", "a"], ["null", "NULLS"]]), shape_of(2, null_value="NULL"))
    assert batch.to_rows() == [(None, "a"), ("null", "NULLS")]


def test_without_a_null_text_the_empty_text_stays_a_text() -> None:
    assert read_message(batch_of([["", "NULL"]]), shape_of(2)).to_rows() == [("", "NULL")]


def test_the_empty_text_can_mean_null() -> None:
    assert read_message(batch_of([["", "a"]]), shape_of(2, null_value="")).to_rows() == [(None, "a")]


def test_a_body_is_the_same_batch_as_its_message() -> None:
    message = batch_of([["a", "b"]])
    assert read_protobuf(message.SerializeToString(), shape_of(2), sequence=3) == read_message(message, shape_of(2))


def test_a_body_of_another_sequence_or_sheet_is_refused() -> None:
    for message in (pb.DataBatch(batch_sequence=2), pb.DataBatch(sheet="other")):
        with pytest.raises(SluiceError) as caught:
            read_protobuf(message.SerializeToString(), shape_of(1), sequence=3)
        assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_a_body_that_is_no_message_is_refused() -> None:
    with pytest.raises(SluiceError) as caught:
        read_protobuf(b"\xff", shape_of(1), sequence=1)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
