"""A table: its schema, its rows in the order of their keys, and the indexes that follow it."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from infra.emulators.tablestore.limits import check_key_sizes
from infra.emulators.tablestore.refusals import Refused, invalid
from infra.emulators.tablestore.rows import Row
from infra.emulators.tablestore.schemas import KIND_NAMES, KeyColumn, kind_of
from infra.emulators.tablestore.values import Bound, Key, KeyValue, NamedKey, SortKey, sort_key


class KeySchema:
    """Which columns make a primary key, and of which types."""

    def __init__(self, columns: tuple[KeyColumn, ...]) -> None:
        self.columns = columns
        self.names = tuple(column.name for column in columns)
        self._automatic = {column.name for column in columns if column.automatic}

    def place(self, key: NamedKey) -> SortKey:
        """Return where a row with this whole key stands. Raises Refused for any other key."""
        self._check(key)
        for _, value in key:
            if value is Bound.AUTO:
                raise invalid("PKAutoIncr can't be used for read operations.")
            if isinstance(value, Bound):
                raise Refused("OTSInvalidPK", f"{value.name} is an invalid type for the primary key.")
        return sort_key(_values(key))

    def edge(self, key: NamedKey) -> SortKey:
        """Return the end of a range; the bounds of keys are allowed here, and only here."""
        self._check(key)
        if any(value is Bound.AUTO for _, value in key):
            raise invalid("PKAutoIncr can't be used for read operations.")
        return sort_key(_values(key))

    def numbered(self, key: NamedKey, number: int) -> NamedKey:
        """Return ``key`` with ``number`` where it leaves the choice to the service."""
        for name, value in key:
            if value is Bound.AUTO and name not in self._automatic:
                raise invalid(f"The primary key column '{name}' is not auto increment.")
        return tuple((name, number if value is Bound.AUTO else value) for name, value in key)

    def _check(self, key: NamedKey) -> None:
        if len(key) != len(self.columns):
            raise Refused("OTSInvalidPK", f"Validate PK size fail. Input: {len(key)}, Meta: {len(self.columns)}.")
        for (name, value), column in zip(key, self.columns, strict=True):
            if name != column.name:
                raise Refused("OTSInvalidPK", f"Validate PK name fail. Input: {name}, Meta: {column.name}.")
            if not isinstance(value, Bound) and kind_of(value) != column.kind:
                raise _wrong_type(value, column)
        check_key_sizes(key)


class SortedRows:
    """Rows in the order of their keys. Not safe between threads."""

    def __init__(self) -> None:
        self._places: list[SortKey] = []
        self._rows: dict[SortKey, Row] = {}

    def __len__(self) -> int:
        return len(self._places)

    def get(self, place: SortKey) -> Row | None:
        return self._rows.get(place)

    def put(self, place: SortKey, row: Row) -> None:
        if place not in self._rows:
            bisect.insort(self._places, place)
        self._rows[place] = row

    def drop(self, place: SortKey) -> None:
        if self._rows.pop(place, None) is not None:
            del self._places[bisect.bisect_left(self._places, place)]

    def forward(self, start: SortKey, end: SortKey) -> Iterator[Row]:
        """Give the rows from ``start`` up to without ``end``."""
        for at in range(bisect.bisect_left(self._places, start), bisect.bisect_left(self._places, end)):
            yield self._rows[self._places[at]]

    def backward(self, start: SortKey, end: SortKey) -> Iterator[Row]:
        """Give the rows from ``start`` down to without ``end``."""
        for at in range(bisect.bisect_right(self._places, start), bisect.bisect_right(self._places, end), -1):
            yield self._rows[self._places[at - 1]]

    def __iter__(self) -> Iterator[Row]:
        return (self._rows[place] for place in self._places)


def _values(key: NamedKey) -> Key:
    return tuple(value for _, value in key)


def _wrong_type(value: KeyValue, column: KeyColumn) -> Refused:
    return Refused(
        "OTSInvalidPK",
        f"Validate PK type fail. Input: {KIND_NAMES[kind_of(value)]}, Meta: {KIND_NAMES[column.kind]}.",
    )
