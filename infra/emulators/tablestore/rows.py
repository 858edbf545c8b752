"""A row: its columns and their versions, what a change makes of it, and what a read shows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from infra.emulators.tablestore.plainbuffer import CellOperation, Change
from infra.emulators.tablestore.refusals import invalid
from infra.emulators.tablestore.values import NamedKey, Value, size_of

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1


class Version(NamedTuple):
    timestamp: int
    """Milliseconds."""
    value: Value


Versions: TypeAlias = tuple[Version, ...]
"""Newest first."""
Columns: TypeAlias = Mapping[str, Versions]


class Row(NamedTuple):
    """Never changed once it is there: a change makes a new one."""

    key: NamedKey
    columns: Columns

    def versions_of(self, name: str) -> Sequence[Value]:
        """Return the values of a column, of the primary key too, newest first."""
        for column, value in self.key:
            if column == name:
                return (value,)  # type: ignore[return-value]  # a stored key has no bounds
        return [version.value for version in self.columns.get(name, ())]


def size_bytes(row: Row) -> int:
    """Return what the row counts for in capacity units."""
    key = sum(len(name) + size_of(value) for name, value in row.key)
    return key + sum(
        len(name) + size_of(version.value) for name, versions in row.columns.items() for version in versions
    )


def replaced(changes: Iterable[Change], *, now: int, versions_max: int) -> Columns:
    """Return the columns of a row that is put whole."""
    return updated({}, changes, now=now, versions_max=versions_max)


def updated(columns: Columns, changes: Iterable[Change], *, now: int, versions_max: int) -> Columns:
    """Return ``columns`` after the changes, one after the other. Raises Refused without any having happened."""
    after = dict(columns)
    for change in changes:
        versions = _CHANGES[change.operation](after.get(change.name, ()), change, now)[:versions_max]
        if versions:
            after[change.name] = versions
        else:
            after.pop(change.name, None)
    return after


def _put(versions: Versions, change: Change, now: int) -> Versions:
    assert change.value is not None
    return _with(versions, Version(now if change.timestamp is None else change.timestamp, change.value))


def _increment(versions: Versions, change: Change, now: int) -> Versions:
    before = versions[0].value if versions else 0
    if type(before) is not int or type(change.value) is not int:
        raise invalid(f"Only integers can be incremented; the column '{change.name}' or its increment is none.")
    if not INTEGER_MIN <= before + change.value <= INTEGER_MAX:
        raise invalid(f"The increment leaves the range of integers in column '{change.name}'.")
    return _with(versions, Version(now if change.timestamp is None else change.timestamp, before + change.value))


def _delete_one(versions: Versions, change: Change, _: int) -> Versions:
    return tuple(version for version in versions if version.timestamp != change.timestamp)


def _delete_all(_: Versions, __: Change, ___: int) -> Versions:
    return ()


def _with(versions: Versions, added: Version) -> Versions:
    kept = [version for version in versions if version.timestamp != added.timestamp]
    return tuple(sorted([*kept, added], key=lambda version: -version.timestamp))


_CHANGES: dict[CellOperation, Callable[[Versions, Change, int], Versions]] = {
    CellOperation.PUT: _put,
    CellOperation.INCREMENT: _increment,
    CellOperation.DELETE_ONE: _delete_one,
    CellOperation.DELETE_ALL: _delete_all,
}
