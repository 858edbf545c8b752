"""Reads a table of a MySQL or MariaDB server in the order of a key, by one query whose rows are streamed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from pathlib import Path

from sluice.adapters.sources.mysql_catalog import MysqlColumn, MysqlTable, describe_mysql_table
from sluice.adapters.sources.mysql_literals import typed_literal
from sluice.adapters.sources.mysql_places import DATES, place_of, range_of
from sluice.adapters.sources.mysql_session import MysqlSession, Row, open_mysql
from sluice.adapters.sources.typed_values import bound_of, check_bound, no_dates, typed
from sluice.domain.dataset import MysqlConnection, TableSource
from sluice.domain.limits import MIB
from sluice.domain.pulled import Condition, Cursor
from sluice.domain.secret import Secret
from sluice.ports.source import COUNT_S, Slice, SourceError

SLICE_ROWS = 8_000
SLICE_BYTES = 2 * MIB
"""A slice ends with the rows that reach this size; so many of them are fetched together as always fit into it."""
_FETCHED_ROWS_MAX = 1_000


class MysqlSource:
    """Implements ``Source`` by one connection, in a transaction that only reads.

    Values are as the server writes them: dates that are none stay texts, a
    FLOAT has its six digits. BIT is a number. Texts of keys and conditions
    are compared by their bytes, whatever their collation takes for equal.
    """

    def __init__(
        self,
        connection: MysqlConnection,
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
        with open_mysql(brief, self._folder, self._password, is_snapshot=False) as session:
            table = self._describe(session)
            where = _where(self._fits(table))
            query = f"SELECT COUNT(*) FROM (SELECT 1 FROM {table.name} AS t {where} LIMIT {int(limit)}) AS found"  # noqa: S608  # names and values in quotes
            return int(str(session.fetch(query)[0][0]))

    @contextmanager
    def reading(self, after: Cursor | None = None) -> Iterator[Iterator[Slice]]:
        """As the port says. The server is read no faster than slices are taken, and writers go on.

        By ``key`` too all rows of one reading are of one moment; each begins behind its cursor at another.
        """
        is_snapshot = self._source.consistency == "snapshot"
        with ExitStack() as stack:
            opened = open_mysql(self._connection, self._folder, self._password, is_snapshot=is_snapshot)
            session = stack.enter_context(opened)
            table = self._describe(session)
            clauses = [*self._fits(table), *self._behind(session, table, after)]
            yield stack.enter_context(closing(self._slices(session, table, clauses)))

    @property
    def _place(self) -> str:
        return f"table {self._source.table} of {self._connection.name}"

    def _describe(self, session: MysqlSession) -> MysqlTable:
        compared = [condition.column for condition in self._conditions]
        return describe_mysql_table(session, self._source, self._place, [*self._columns, *compared])

    def _fits(self, table: MysqlTable) -> list[str]:
        """What rows must be like, as SQL. Raises ``ConditionError`` for a value that is none of the column's type."""
        return [_fit(self._place, table.columns[condition.column], condition) for condition in self._conditions]

    def _behind(self, session: MysqlSession, table: MysqlTable, after: Cursor | None) -> list[str]:
        """The rows behind ``after``, written out: MySQL looks for whole rows, ``(a, b) > (1, 2)``, in no index."""
        if after is None:
            return []
        key = [table.columns[name] for name in self._source.key]
        texts = [value for value in after if isinstance(value, str)]
        try:
            values = [place_of(session, column, text) for column, text in zip(key, texts, strict=True)]
        except ValueError as error:
            raise SourceError(f"{self._place} is read on behind a key that is not one of its own") from error
        behind = ""
        for place in reversed(values):
            more = f"{place.compared} > {place.value}"
            behind = f"({more} OR ({place.compared} = {place.value} AND {behind}))" if behind else more
        # The first part alone bounds the range of an index.
        return [values[0].bound, behind]

    def _slices(self, session: MysqlSession, table: MysqlTable, clauses: Sequence[str]) -> Generator[Slice, None, None]:
        key = [table.columns[name] for name in self._source.key]
        chosen = [*(table.columns[name] for name in self._columns), *key]
        fetched = max(1, min(_FETCHED_ROWS_MAX, SLICE_BYTES // sum(column.bytes_max for column in chosen)))
        ordered = ", ".join(column.compared for column in key)
        wanted, placed = [column.shown for column in chosen[: len(self._columns)]], [column.placed for column in key]
        query = f"SELECT {', '.join(wanted + placed)} FROM {table.name} AS t {_where(clauses)} ORDER BY {ordered}"  # noqa: S608  # names and values in quotes
        rows: list[Row] = []
        size = 0
        with session.rows(query) as fetch:
            while more := fetch(min(fetched, SLICE_ROWS - len(rows))):
                rows += more
                size += sum(map(len, filter(None, chain.from_iterable(more))))
                if len(rows) >= SLICE_ROWS or size >= SLICE_BYTES:
                    yield self._slice(chosen, rows)
                    rows, size = [], 0
        if rows:
            yield self._slice(chosen, rows)

    def _slice(self, chosen: Sequence[MysqlColumn], rows: Sequence[Row]) -> Slice:
        width = len(self._columns)
        columns = list(zip(*rows, strict=True))
        last = [_cells(column, values[-1:])[0] for column, values in zip(chosen, columns, strict=True)]
        cursor = tuple(cell for cell in last[width:] if cell is not None)
        if len(cursor) < len(chosen) - width:  # in a row that came after the check
            raise SourceError(f"{self._place} has a row without a value in its key {', '.join(self._source.key)}")
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


def _where(clauses: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(clauses)}" if clauses else ""
