"""The row format, against the vendor's own codec in both directions, and against bytes that are none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.emulators.tablestore.plainbuffer import CellOperation, ReadCell, ReadRow, write_rows
from infra.emulators.tablestore.plainbuffer_reading import read_row, read_value
from infra.emulators.tablestore.refusals import Refused
from infra.emulators.tablestore.values import Bound
from tests.support.tablestore_client import ots

BUILDER: Any = ots.plainbuffer.plain_buffer_builder.PlainBufferBuilder
STREAM: Any = ots.plainbuffer.plain_buffer_stream.PlainBufferInputStream
CODED: Any = ots.plainbuffer.plain_buffer_coded_stream.PlainBufferCodedInputStream

integers = st.integers(-(2**63), 2**63 - 1)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
key_values = st.text() | integers | st.binary()
values = key_values | st.booleans() | st.floats(allow_nan=False)
times = st.integers(0, 2**53)
keys = st.lists(st.tuples(names, key_values), min_size=1, max_size=4)


def theirs(value: Any) -> Any:
    """Spell bytes as the SDK does."""
    return bytearray(value) if isinstance(value, bytes) else value


def with_types(pairs: Any) -> list[Any]:
    """Tell true from 1 and 1 from 1.0."""
    return [(*pair, type(pair[1])) for pair in pairs]


@given(keys, st.lists(st.tuples(names, values, times), max_size=6))
def test_the_sdk_reads_what_is_written(key: list[Any], cells: list[Any]) -> None:
    row = ReadRow(tuple(key), [ReadCell(*cell) for cell in cells])
    read = CODED(STREAM(write_rows([row, row]))).read_rows()
    assert len(read) == 2
    for one in read:
        assert with_types(one.primary_key) == with_types((name, theirs(value)) for name, value in key)
        assert with_types(one.attribute_columns) == with_types((name, theirs(value), at) for name, value, at in cells)


@given(keys, st.lists(st.tuples(names, values) | st.tuples(names, values, times), max_size=6))
def test_what_the_sdk_puts_is_read(key: list[Any], cells: list[Any]) -> None:
    spelled = BUILDER.serialize_for_put_row(
        [(name, theirs(value)) for name, value in key], [(cell[0], theirs(cell[1]), *cell[2:]) for cell in cells]
    )
    row = read_row(bytes(spelled))
    assert with_types(row.key) == with_types(key)
    assert with_types((change.name, change.value) for change in row.changes) == with_types(cell[:2] for cell in cells)
    assert [change.timestamp for change in row.changes] == [cell[2] if len(cell) == 3 else None for cell in cells]
    assert {change.operation for change in row.changes} <= {CellOperation.PUT}
    assert not row.is_delete_marked


@given(keys)
def test_what_the_sdk_deletes_and_looks_for_is_read(key: list[Any]) -> None:
    spelled = [(name, theirs(value)) for name, value in key]
    assert read_row(bytes(BUILDER.serialize_for_delete_row(spelled))).is_delete_marked
    assert with_types(read_row(bytes(BUILDER.serialize_primary_key(spelled))).key) == with_types(key)


def test_what_the_sdk_updates_is_read() -> None:
    changes = {
        "PUT": [("p", "x"), ("q", 1, 1_000)],
        "DELETE": [("d", None, 2_000)],
        "DELETE_ALL": ["e"],
        "INCREMENT": [("i", -1)],
    }
    row = read_row(bytes(BUILDER.serialize_for_update_row([("pk", "a")], changes)))
    assert [tuple(change) for change in row.changes] == [
        ("p", "x", CellOperation.PUT, None),
        ("q", 1, CellOperation.PUT, 1_000),
        ("d", None, CellOperation.DELETE_ONE, 2_000),
        ("e", None, CellOperation.DELETE_ALL, None),
        ("i", -1, CellOperation.INCREMENT, None),
    ]


@pytest.mark.parametrize(("theirs", "ours"), [(ots.INF_MIN, Bound.MIN), (ots.INF_MAX, Bound.MAX)])
def test_the_bounds_of_ranges_are_read(theirs: Any, ours: Bound) -> None:
    assert read_row(bytes(BUILDER.serialize_primary_key([("pk", theirs)]))).key == (("pk", ours),)


@given(values)
def test_what_the_sdk_compares_with_is_read(value: Any) -> None:
    read = read_value(bytes(BUILDER.serialize_column_value(theirs(value))))
    assert (read, type(read)) == (value, type(value))


CHANGES = {"PUT": [("c", 1.5), ("t", True)], "DELETE_ALL": ["e"]}
WHOLE = bytes(BUILDER.serialize_for_update_row([("pk", "任务"), ("n", 7)], CHANGES))


def test_a_row_with_one_bit_changed_is_refused() -> None:
    for at, bit in itertools.product(range(len(WHOLE)), range(8)):
        changed = bytearray(WHOLE)
        changed[at] ^= 1 << bit
        with pytest.raises(Refused):
            read_row(bytes(changed))


def test_a_row_that_ends_too_early_is_refused() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(Refused):
            read_row(WHOLE[:size])


def test_bytes_after_the_row_are_refused() -> None:
    with pytest.raises(Refused):
        read_row(WHOLE + b"\0")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_row_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        read_row(data)
    with pytest.raises(Refused):
        read_row(b"\x75\0\0\0" + data)
