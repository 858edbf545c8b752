"""Reads a table of a PostgreSQL server in the order of a key, by one COPY."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial

from sluice.adapters.databases.postgresql_literals import literal, typed_literal
from sluice.adapters.databases.postgresql_session import Isolation, PostgresqlSession, open_session
from sluice.adapters.databases.typed_values import bound_of, check_bound, no_dates, typed
from sluice.adapters.sources.copy_text import RowCutter, column_of
from sluice.adapters.sources.postgresql_catalog import PostgresqlColumn, PostgresqlTable, describe_table
from sluice.adapters.sources.postgresql_ranges import MOMENTS, POINTS, range_of
from sluice.adapters.sources.server_source import Query, ServerSource, where
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.pulled import Condition, Cursor
from sluice.ports.source import ConditionError, Slice

CHECKED_TOGETHER = 1_000
"""So many values of a condition are in one query of their check."""


class PostgresqlSource(ServerSource[PostgresqlConnection, PostgresqlSession, PostgresqlTable]):
    """Implements ``Source`` by one connection, in a transaction that only reads.

    Values are as the server writes them, with the settings of
    ``postgresql_session``; booleans are ``true`` and ``false``, arrays JSON,
    money its number. Keys that are texts are compared by their bytes. Memory
    is a slice and what one row needs, however slowly slices are taken.
    """

    def _session(
        self, connection: PostgresqlConnection, *, is_snapshot: bool
    ) -> AbstractContextManager[PostgresqlSession]:
        isolation: Isolation = "repeatable_read" if is_snapshot else "read_committed"
        return open_session(connection, self._folder, self._password, isolation, self._interruption)

    def _now(self, session: PostgresqlSession) -> float:
        # The first query of a transaction, which fixes the moment of a snapshot before it is run.
        return float(session.fetch("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0])

    def _number(self, session: PostgresqlSession, query: str) -> int:
        return int(session.fetch(query)[0][0])

    def _describe(self, session: PostgresqlSession) -> PostgresqlTable:
        return describe_table(session, self._source, self._place, self._compared)

    def _fits(self, session: PostgresqlSession, table: PostgresqlTable) -> list[str]:
        """What rows must be like, as SQL. Raises ``ConditionError`` for a value that the column's type refuses."""
        return [self._fit(session, table.columns[one.column], one) for one in self._conditions]

    def _fit(self, session: PostgresqlSession, column: PostgresqlColumn, condition: Condition) -> str:
        expected = f"values of type {column.type}"
        if (bound := bound_of(condition)) is not None:
            if column.type not in MOMENTS and not column.is_text:
                raise no_dates(self._place, column.name, column.type)
            check_bound(condition, bound, expected, with_zone=column.type == POINTS, digits=9 if column.is_text else 6)
            return range_of(column, condition, bound)
        values = typed(condition, expected, partial(typed_literal, column.type, is_text=column.is_text))
        for start in range(0, len(values), CHECKED_TOGETHER):
            if (wrong := _first_wrong(session, values[start : start + CHECKED_TOGETHER])) is not None:
                raise ConditionError(column.name, expected, field=condition.field, index=start + wrong)
        if condition.test == "in":
            compared = column.ordered if column.is_lax else column.equalled
            return f"{compared} IN ({', '.join(values)})" if values else "false"
        return f"{column.ordered} {condition.test} {values[0]}"

    def select(self, table: PostgresqlTable, query: Query) -> str:
        """What is copied: what is asked for, and behind it what of the key is not among that."""
        ordered = ", ".join(column.ordered for column in self._key(table))
        return (
            f"SELECT {', '.join(self._chosen(table, query))} FROM {table.name} AS t {where(query.clauses)} "  # noqa: S608  # names and values in quotes
            f"ORDER BY {ordered}{query.ending}"
        )

    def _key(self, table: PostgresqlTable) -> list[PostgresqlColumn]:
        return [table.columns[name] for name in self._source.key]

    def _chosen(self, table: PostgresqlTable, query: Query) -> list[str]:
        wanted = [table.columns[name].shown for name in query.columns]
        return [*wanted, *(column.raw for column in self._key(table) if column.raw not in wanted)]

    def _slices(self, session: PostgresqlSession, table: PostgresqlTable, query: Query) -> Generator[Slice, None, None]:
        chosen, wanted = self._chosen(table, query), len(query.columns)
        places = [chosen.index(column.raw) for column in self._key(table)]
        cutter = RowCutter(len(chosen))
        with closing(session.copy(self.select(table, query))) as blocks:
            for block in blocks:
                for run in cutter.add(block):
                    yield self._slice(run, len(chosen), wanted, places)
            for run in cutter.rest():
                yield self._slice(run, len(chosen), wanted, places)

    def _slice(self, run: Sequence[str], width: int, wanted: int, places: Sequence[int]) -> Slice:
        cursor = []
        for at in places:
            (cell,) = column_of(run[-width:], at, width)
            if cell is None:
                raise self._without_key()
            cursor.append(cell)
        return Slice([column_of(run, at, width) for at in range(wanted)], len(run) // width, tuple(cursor))

    def _behind(self, session: PostgresqlSession, table: PostgresqlTable, after: Cursor | None) -> list[str]:
        del session
        return self._compare(table, ">", after)

    def _up_to(self, session: PostgresqlSession, table: PostgresqlTable, until: Cursor | None) -> list[str]:
        del session
        return self._compare(table, "<=", until)

    def _compare(self, table: PostgresqlTable, test: str, cursor: Cursor | None) -> list[str]:
        """By whole keys."""
        if cursor is None:
            return []
        key = self._key(table)
        values = [f"{literal(text)}::{column.type}" for column, text in zip(key, self._key_texts(cursor), strict=True)]
        return [f"({', '.join(column.ordered for column in key)}) {test} ({', '.join(values)})"]


def _first_wrong(session: PostgresqlSession, values: Sequence[str]) -> int | None:
    """The place of the first value that the server refuses; None where it takes all of them."""
    if session.try_query(f"SELECT count(v) FROM (VALUES ({'), ('.join(values)})) AS given (v)"):  # noqa: S608  # values in quotes
        return None
    middle = len(values) // 2
    if not middle:
        return 0
    first = _first_wrong(session, values[:middle])
    return middle + (_first_wrong(session, values[middle:]) or 0) if first is None else first
