"""Column conditions of writes and filters of reads: what they say of one row."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

from google.protobuf.message import DecodeError

from infra.emulators.tablestore.limits import SUBCONDITIONS_MAX
from infra.emulators.tablestore.messages import Message, filter_pb
from infra.emulators.tablestore.plainbuffer_reading import read_value
from infra.emulators.tablestore.refusals import Refused, invalid
from infra.emulators.tablestore.values import Bound, Value

VersionsOf: TypeAlias = Callable[[str], Sequence[Value]]
"""The values of a column, newest first; empty where the column is missing."""
Predicate: TypeAlias = Callable[[VersionsOf], bool]

_COMPARISONS: dict[int, Callable[[Value, Value], bool]] = {
    filter_pb.CT_EQUAL: operator.eq,
    filter_pb.CT_NOT_EQUAL: operator.ne,
    filter_pb.CT_GREATER_THAN: operator.gt,
    filter_pb.CT_GREATER_EQUAL: operator.ge,
    filter_pb.CT_LESS_THAN: operator.lt,
    filter_pb.CT_LESS_EQUAL: operator.le,
}


def read_predicate(data: bytes) -> Predicate:
    """Return what ``data``, a filter as requests carry it, asks of a row."""
    try:
        return _predicate(filter_pb.Filter.FromString(data), [0])
    except DecodeError as error:
        raise invalid("Deserialize filter failed.") from error


def always(_: VersionsOf) -> bool:
    return True


def _predicate(message: Message, count: list[int]) -> Predicate:
    if message.type == filter_pb.FT_COMPOSITE_COLUMN_VALUE:
        return _composite(filter_pb.CompositeColumnValueFilter.FromString(message.filter), count)
    if message.type == filter_pb.FT_SINGLE_COLUMN_VALUE:
        count[0] += 1
        if count[0] > SUBCONDITIONS_MAX:
            raise invalid(f"The count of filter exceeds the max: {SUBCONDITIONS_MAX}.")
        return _comparison(filter_pb.SingleColumnValueFilter.FromString(message.filter))
    raise _unsupported("column pagination")


def _composite(message: Message, count: list[int]) -> Predicate:
    parts = [_predicate(part, count) for part in message.sub_filters]
    if message.combinator == filter_pb.LO_NOT:
        if len(parts) != 1:
            raise invalid("Invalid NOT operator: the number of sub-filters must be 1.")
        return lambda versions_of: not parts[0](versions_of)
    if len(parts) < 2:
        raise invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")
    join = all if message.combinator == filter_pb.LO_AND else any
    return lambda versions_of: join(part(versions_of) for part in parts)


def _comparison(message: Message) -> Predicate:
    column: str = message.column_name
    if message.HasField("value_trans_rule"):
        raise _unsupported("a regular expression over a column")
    if message.comparator == filter_pb.CT_EXIST:
        return lambda versions_of: bool(versions_of(column))
    if message.comparator == filter_pb.CT_NOT_EXIST:
        return lambda versions_of: not versions_of(column)
    wanted = read_value(message.column_value)
    if isinstance(wanted, Bound):
        raise invalid(f"{wanted.name} cannot be compared with a column.")
    fits = _fits(message.comparator, wanted)
    if_missing: bool = not message.filter_if_missing
    latest_only: bool = message.latest_version_only

    def holds(versions_of: VersionsOf) -> bool:
        versions = versions_of(column)
        if not versions:
            return if_missing
        return fits(versions[0]) if latest_only else any(map(fits, versions))

    return holds


def _fits(comparator: int, wanted: Value) -> Callable[[Value], bool]:
    compare = _COMPARISONS[comparator]
    other_type = comparator == filter_pb.CT_NOT_EQUAL

    def fits(value: Value) -> bool:
        return compare(_ranked(value), _ranked(wanted)) if type(value) is type(wanted) else other_type

    return fits


def _ranked(value: Value) -> Value:
    """Texts compare by their UTF-8 bytes."""
    return value.encode() if isinstance(value, str) else value


def _unsupported(what: str) -> Refused:
    return Refused("OTSUnsupportOperation", f"This server does not know {what} in a condition.")
