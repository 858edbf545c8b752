"""Reads a table of a PostgreSQL server in the order of a key, by one COPY."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from sluice.adapters.sources.copy_text import RowCutter, column_of
from sluice.adapters.sources.postgresql_catalog import PostgresqlColumn, PostgresqlTable, describe_table
from sluice.adapters.sources.postgresql_literals import literal, typed_literal
from sluice.adapters.sources.postgresql_ranges import MOMENTS, POINTS, range_of
from sluice.adapters.sources.postgresql_session import Isolation, PostgresqlSession, open_session
from sluice.adapters.sources.typed_values import bound_of, check_bound, no_dates, typed
from sluice.domain.dataset import PostgresqlConnection, TableSource
from sluice.domain.pulled import Condition, Cursor
from sluice.domain.secret import Secret
from sluice.ports.source import COUNT_S, ConditionError, Slice, SourceError

CHECKED_TOGETHER = 1_000
"""So many values of a condition are in one query of their check."""


class PostgresqlSource:
    """Implements ``Source`` by one connection, in a transaction that only reads.

    Values are as the server writes them, with the settings of
    ``postgresql_session``; booleans are ``true`` and ``false``, arrays JSON,
    money its number. Keys that are texts are compared by their bytes. Memory
    is a slice and what one row needs, however slowly slices are taken.
    """

    def __init__(
        self,
        connection: PostgresqlConnection,
        source: TableSource,
        columns: Sequence[str],
        conditions: Sequence[Condition] = (),
        *,
        password: Callable[[], Secret],
        folder: Path,
    ) -> None:
        self._connection = connection
        self._source = source
        self._columns = tuple(columns)
        self._conditions = tuple(conditions)
        self._password = password
        self._folder = folder

    def count(self, limit: int) -> int:
        """As the port says; of the rows that are there at this moment."""
        brief = self._connection.within(COUNT_S)
        with open_session(brief, self._folder, self._password, "read_committed") as session:
            table = self._describe(session)
            where = _where(self._fits(session, table))
            query = f"SELECT count(*) FROM (SELECT 1 FROM {table.name} AS t {where} LIMIT {int(limit)}) AS found"  # noqa: S608  # names and values in quotes
            return int(session.fetch(query)[0][0])

    @contextmanager
    def reading(self, after: Cursor | None = None) -> Iterator[Iterator[Slice]]:
        """As the port says. The server is read no faster than slices are taken, and writers go on.

        By ``key`` too all rows of one reading are of one moment; each begins behind its cursor at another.
        """
        with ExitStack() as stack:
            session = stack.enter_context(self._session(is_snapshot=self._source.consistency == "snapshot"))
            table = self._describe(session)
            fits = self._fits(session, table)
            yield stack.enter_context(closing(self._slices(session, table, fits, after)))

    @property
    def _place(self) -> str:
        return f"table {self._source.table} of {self._connection.name}"

    @contextmanager
    def _session(self, *, is_snapshot: bool) -> Iterator[PostgresqlSession]:
        isolation: Isolation = "repeatable_read" if is_snapshot else "read_committed"
        with open_session(self._connection, self._folder, self._password, isolation) as session:
            yield session

    def _describe(self, session: PostgresqlSession) -> PostgresqlTable:
        compared = [condition.column for condition in self._conditions]
        return describe_table(session, self._source, self._place, [*self._columns, *compared])

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

    def _slices(
        self, session: PostgresqlSession, table: PostgresqlTable, fits: Sequence[str], after: Cursor | None
    ) -> Generator[Slice, None, None]:
        wanted = [table.columns[name].shown for name in self._columns]
        key = [table.columns[name].raw for name in self._source.key]
        chosen = [*wanted, *(raw for raw in key if raw not in wanted)]
        places = [chosen.index(raw) for raw in key]
        cutter = RowCutter(len(chosen))
        with closing(session.copy(self._query(table, chosen, fits, after))) as blocks:
            for block in blocks:
                for run in cutter.add(block):
                    yield self._slice(run, len(chosen), places)
            for run in cutter.rest():
                yield self._slice(run, len(chosen), places)

    def _slice(self, run: Sequence[str], width: int, places: Sequence[int]) -> Slice:
        cursor = []
        for at in places:
            (cell,) = column_of(run[-width:], at, width)
            if cell is None:  # in a row that came after the check
                raise SourceError(f"{self._place} has a row without a value in its key {', '.join(self._source.key)}")
            cursor.append(cell)
        return Slice([column_of(run, at, width) for at in range(len(self._columns))], len(run) // width, tuple(cursor))

    def _query(self, table: PostgresqlTable, chosen: Sequence[str], fits: Sequence[str], after: Cursor | None) -> str:
        """What is copied: the rows behind ``after``, by whole keys."""
        key = [table.columns[name] for name in self._source.key]
        clauses = list(fits)
        if after is not None:
            texts = [value for value in after if isinstance(value, str)]
            if len(texts) != len(key):
                raise SourceError(f"{self._place} is read on behind a key that is not one of its own")
            behind = [f"{literal(text)}::{column.type}" for column, text in zip(key, texts, strict=True)]
            clauses.append(f"({', '.join(column.ordered for column in key)}) > ({', '.join(behind)})")
        ordered = ", ".join(column.ordered for column in key)
        return f"SELECT {', '.join(chosen)} FROM {table.name} AS t {_where(clauses)} ORDER BY {ordered}"  # noqa: S608  # names and values in quotes


def _first_wrong(session: PostgresqlSession, values: Sequence[str]) -> int | None:
    """The place of the first value that the server refuses; None where it takes all of them."""
    if session.try_query(f"SELECT count(v) FROM (VALUES ({'), ('.join(values)})) AS given (v)"):  # noqa: S608  # values in quotes
        return None
    middle = len(values) // 2
    if not middle:
        return 0
    first = _first_wrong(session, values[:middle])
    return middle + (_first_wrong(session, values[middle:]) or 0) if first is None else first


def _where(clauses: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(clauses)}" if clauses else ""
