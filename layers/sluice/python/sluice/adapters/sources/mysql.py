"""Reads a table of a MySQL or MariaDB server in the order of a key, by one query whose rows are streamed."""

from __future__ import annotations

import base64
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import chain
from typing import Literal

from sluice.adapters.databases.mysql_literals import typed_literal
from sluice.adapters.databases.mysql_session import MysqlSession, Row, open_mysql
from sluice.adapters.databases.typed_values import bound_of, check_bound, no_dates, typed
from sluice.adapters.sources.mysql_catalog import MysqlColumn, MysqlTable, describe_mysql_table
from sluice.adapters.sources.mysql_places import DATES, place_of, range_of
from sluice.adapters.sources.server_source import Query, ServerSource, where
from sluice.domain.dataset import MysqlConnection
from sluice.domain.limits import MIB
from sluice.domain.pulled import Condition, Cursor
from sluice.ports.source import Slice, SourceError

SLICE_ROWS = 8_000
SLICE_BYTES = 2 * MIB
"""A slice ends with the rows that reach this size; so many of them are fetched together as always fit into it."""
_FETCHED_ROWS_MAX = 1_000


class MysqlSource(ServerSource[MysqlConnection, MysqlSession, MysqlTable]):
    """Implements ``Source`` by one connection, in a transaction that only reads.

    Values are as the server writes them: dates that are none stay texts, a
    FLOAT has its six digits. BIT is a number. Texts of keys and conditions
    are compared by their bytes, whatever their collation takes for equal.
    """

    def _session(self, connection: MysqlConnection, *, is_snapshot: bool) -> AbstractContextManager[MysqlSession]:
        return open_mysql(connection, self._folder, self._password, self._interruption, is_snapshot=is_snapshot)

    def _now(self, session: MysqlSession) -> float:
        (text,) = session.fetch("SELECT UTC_TIMESTAMP(6)")[0]
        return datetime.fromisoformat(f"{text}+00:00").timestamp()

    def _number(self, session: MysqlSession, query: str) -> int:
        return int(str(session.fetch(query)[0][0]))

    def _describe(self, session: MysqlSession) -> MysqlTable:
        return describe_mysql_table(session, self._source, self._place, self._compared)

    def _fits(self, session: MysqlSession, table: MysqlTable) -> list[str]:
        del session  # no value is tried
        return [_fit(self._place, table.columns[condition.column], condition) for condition in self._conditions]

    def _behind(self, session: MysqlSession, table: MysqlTable, after: Cursor | None) -> list[str]:
        return self._compare(session, table, ">", after)

    def _up_to(self, session: MysqlSession, table: MysqlTable, until: Cursor | None) -> list[str]:
        return self._compare(session, table, "<", until)

    def _compare(
        self, session: MysqlSession, table: MysqlTable, test: Literal["<", ">"], cursor: Cursor | None
    ) -> list[str]:
        """By whole keys, written out: MySQL looks for whole rows, ``(a, b) > (1, 2)``, in no index."""
        if cursor is None:
            return []
        key = [table.columns[name] for name in self._source.key]
        try:
            texts = self._key_texts(cursor)
            places = [place_of(session, column, text) for column, text in zip(key, texts, strict=True)]
        except ValueError as error:
            raise SourceError(f"{self._place} is read on behind a key that is not one of its own") from error
        clause = ""
        for place in reversed(places):
            # The last column decides for a key that is equal so far: below a bound with the bound itself.
            last = f"{place.compared} {test}{'=' if test == '<' and not clause else ''} {place.value}"
            clause = f"({last} OR ({place.compared} = {place.value} AND {clause}))" if clause else last
        # The first part alone bounds the range of an index.
        return [places[0].begin if test == ">" else places[0].end, clause]

    def _slices(self, session: MysqlSession, table: MysqlTable, query: Query) -> Generator[Slice, None, None]:
        key = [table.columns[name] for name in self._source.key]
        chosen = [*(table.columns[name] for name in query.columns), *key]
        fetched = max(1, min(_FETCHED_ROWS_MAX, SLICE_BYTES // sum(column.bytes_max for column in chosen)))
        ordered = ", ".join(column.compared for column in key)
        shown = ", ".join([*(column.shown for column in chosen[: -len(key)]), *(column.placed for column in key)])
        selected = f"SELECT {shown} FROM {table.name} AS t {where(query.clauses)} ORDER BY {ordered}{query.ending}"  # noqa: S608  # names and values in quotes
        rows: list[Row] = []
        size = 0
        with session.rows(selected) as fetch:
            while more := fetch(min(fetched, SLICE_ROWS - len(rows))):
                rows += more
                size += sum(map(len, filter(None, chain.from_iterable(more))))
                if len(rows) >= SLICE_ROWS or size >= SLICE_BYTES:
                    yield self._slice(chosen, len(query.columns), rows)
                    rows, size = [], 0
        if rows:
            yield self._slice(chosen, len(query.columns), rows)

    def _slice(self, chosen: Sequence[MysqlColumn], width: int, rows: Sequence[Row]) -> Slice:
        columns = list(zip(*rows, strict=True))
        last = [_cells(column, values[-1:])[0] for column, values in zip(chosen, columns, strict=True)]
        cursor = tuple(cell for cell in last[width:] if cell is not None)
        if len(cursor) < len(chosen) - width:
            raise self._without_key()
        shown = zip(chosen[:width], columns[:width], strict=True)
        return Slice([_cells(column, values) for column, values in shown], len(rows), cursor)


def _fit(place: str, column: MysqlColumn, condition: Condition) -> str:
    expected = f"values of type {column.type}"
    if (bound := bound_of(condition)) is not None:
        if column.kind not in DATES and not column.is_text:
            raise no_dates(place, column.name, column.type)
        check_bound(condition, bound, expected, with_zone=column.kind == "timestamp", digits=9 if column.is_text else 6)
        return range_of(column, condition, bound)
    values = typed(condition, expected, column.literal)
    if condition.test != "in":
        return f"{column.compared} {condition.test} {values[0]}"
    if not values:
        return "FALSE"
    exact = f"{column.equalled} IN ({', '.join(values)})"
    if not column.collation.startswith("utf8mb4") or column.kind in {"enum", "set"}:
        return exact
    # What an index of a text finds may be equal by its collation alone, so the bytes are compared too.
    found = typed(condition, expected, lambda value: typed_literal(column.kind, value))
    return f"({column.raw} IN ({', '.join(found)}) AND {exact})"


def _cells(column: MysqlColumn, values: Sequence[bytes | None]) -> list[str | None]:
    """A column's values as cells; bytes that are no UTF-8 become halves of characters, which no cell may have."""
    if column.is_binary:
        return [None if value is None else base64.b64encode(value).decode() for value in values]
    try:
        if None not in values:
            return list(map(bytes.decode, values))  # type: ignore[arg-type]  # as was just seen
        return [None if value is None else value.decode() for value in values]
    except UnicodeDecodeError:
        return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]
