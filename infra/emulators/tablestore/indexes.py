"""A secondary index: rows of a table under another key, following the table after a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from infra.emulators.tablestore.limits import (
    INDEX_ATTRIBUTES_MAX,
    INDEX_COLUMNS_MAX,
    INDEX_KEY_COLUMNS_MAX,
    check_name,
)
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.plainbuffer import Kind
from infra.emulators.tablestore.refusals import invalid
from infra.emulators.tablestore.rows import Row
from infra.emulators.tablestore.schemas import KeyColumn, Schema, kind_of
from infra.emulators.tablestore.tables import KeySchema, SortedRows
from infra.emulators.tablestore.values import KeyValue, sort_key

_KEY_KINDS = frozenset({Kind.INTEGER, Kind.STRING, Kind.BINARY})


class _Move(NamedTuple):
    """What a change of the table makes of the index: one entry goes, another comes."""

    at: float
    gone: Row | None
    come: Row | None


class Index:
    """Not safe between threads."""

    def __init__(self, meta: Message, schema: Schema, *, readable_from: float = 0) -> None:
        """Raises Refused for an index that the service would not create on a table of this ``schema``."""
        self.meta = meta
        self.name: str = meta.name
        self.key = KeySchema(_key_columns(meta, schema))
        self.attributes: dict[str, Kind] = _attributes(meta, schema)
        self.readable_from = readable_from
        self._is_synchronous = meta.index_type == pb.IT_LOCAL_INDEX
        self._rows = SortedRows()
        self._moves: deque[_Move] = deque()

    def follow(self, *, at: float, before: Row | None, after: Row | None) -> None:
        """Take note of a change that the table has made."""
        gone, come = self._entry(before), self._entry(after)
        if gone != come:
            self._moves.append(_Move(at, gone, come))

    def adopt(self, rows: Iterable[Row]) -> None:
        """Take in what the table already has."""
        for row in rows:
            self._apply(gone=None, come=self._entry(row))

    def rows_as_of(self, now: float, *, lag_s: float) -> SortedRows:
        """Return the rows with every change older than ``lag_s``; a local index knows them all."""
        until = now if self._is_synchronous else now - lag_s
        while self._moves and self._moves[0].at <= until:
            move = self._moves.popleft()
            self._apply(gone=move.gone, come=move.come)
        return self._rows

    def _apply(self, *, gone: Row | None, come: Row | None) -> None:
        if gone is not None:
            self._rows.drop(_place(gone))
        if come is not None:
            self._rows.put(_place(come), come)

    def _entry(self, row: Row | None) -> Row | None:
        """Return what stands in the index for ``row``: nothing, if its key lacks a column or finds another type."""
        if row is None:
            return None
        key: list[tuple[str, KeyValue]] = []
        for column in self.key.columns:
            values = row.versions_of(column.name)
            if not values or kind_of(values[0]) != column.kind or isinstance(values[0], float):
                return None
            key.append((column.name, values[0]))
        return Row(tuple(key), {name: row.columns[name] for name in self.attributes if name in row.columns})


def _place(row: Row) -> tuple[tuple[int, int | bytes], ...]:
    return sort_key(tuple(value for _, value in row.key))


def _key_columns(meta: Message, schema: Schema) -> tuple[KeyColumn, ...]:
    check_name(meta.name, what="table")
    if not 1 <= len(meta.primary_key) <= INDEX_COLUMNS_MAX:
        raise invalid(f"The number of index columns must be in range: [1, {INDEX_COLUMNS_MAX}].")
    if len(set(meta.primary_key)) != len(meta.primary_key):
        raise invalid("Duplicated index column.")
    _check_first(meta, schema)
    named = [_key_column(name, schema) for name in meta.primary_key]
    completed = [KeyColumn(column.name, column.kind) for column in schema.key if column.name not in meta.primary_key]
    if len(named) + len(completed) > INDEX_KEY_COLUMNS_MAX:
        raise invalid(f"The number of primary key columns of an index must be at most {INDEX_KEY_COLUMNS_MAX}.")
    return (*named, *completed)


def _check_first(meta: Message, schema: Schema) -> None:
    first = meta.primary_key[0]
    if any(column.automatic and column.name == first for column in schema.key):
        raise invalid("The first primary key column of an index cannot be auto increment.")
    if meta.index_type == pb.IT_LOCAL_INDEX and first != schema.key[0].name:
        raise invalid("The first primary key column of a local index must be the table's.")


def _key_column(name: str, schema: Schema) -> KeyColumn:
    kinds = {column.name: column.kind for column in schema.key} | schema.defined
    if name not in kinds:
        raise invalid(f"Column does not exist: {name}.")
    if kinds[name] not in _KEY_KINDS:
        raise invalid(f"{kinds[name].name} is an invalid type for the primary key.")
    return KeyColumn(name, kinds[name])


def _attributes(meta: Message, schema: Schema) -> dict[str, Kind]:
    if len(meta.defined_column) > INDEX_ATTRIBUTES_MAX:
        raise invalid(f"The number of attribute columns of an index must be at most {INDEX_ATTRIBUTES_MAX}.")
    for name in meta.defined_column:
        if name not in schema.defined:
            raise invalid(f"Column does not exist: {name}.")
        if name in meta.primary_key:
            raise invalid(f"Duplicated attribute column name with primary key column: '{name}'.")
    return {name: schema.defined[name] for name in meta.defined_column}
