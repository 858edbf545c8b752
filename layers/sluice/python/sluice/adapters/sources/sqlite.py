"""Reads a table of a SQLite file in the order of a key, page by page."""

from __future__ import annotations

import base64
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.databases.typed_values import bound_of, check_bound, no_dates, texts_within, typed
from sluice.adapters.sources.bounds import find_bounds
from sluice.adapters.sources.sqlite_catalog import collates_texts, described_column, is_unique, quoted
from sluice.adapters.sources.sqlite_values import SqliteColumn, Stored, meant_by
from sluice.adapters.sources.sqlite_waiting import BUSY_STEP_S, PatientConnection
from sluice.domain.dataset import TableSource
from sluice.domain.limits import DAY_S, MIB
from sluice.domain.pulled import Condition, Cursor, Value
from sluice.ports.source import (
    COUNT_S,
    ConditionError,
    Slice,
    Slices,
    SourceColumn,
    SourceError,
    SourceUnavailable,
)

PAGE_ROWS = 8_000
SLICE_BYTES = 2 * MIB
"""A slice ends with the row that reaches this size."""
BUSY_TIMEOUT_S = 30
"""How long a writer that has the whole file is waited for."""
_DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
_EPOCH = 2_440_587.5
"""The beginning of Unix time, in days of SQLite."""
_GIVEN = "sluice_given_"
"""Begins the names of tables in memory with what columns are compared with."""
_CHAR_BYTES_MAX = 4
_NUMBER_CHARS_MAX = 24
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""Codes of errors that another try may not meet."""
_TEXTS = frozenset({str, type(None)})


_VERSIONS_AT, _WAL = 18, b"\x02\x02"
"""Where the header of a file says how it is written and read, and what it says in WAL mode."""


def check_ownership(path: Path) -> None:
    """Raise ``SourceUnavailable`` where reading a file would keep its owner from writing it.

    In WAL mode SQLite makes two files beside it, also for a connection that only reads, and they stay. Made by another
    user than the owner they are not the owner's to write. Root's are given to the owner by SQLite itself.
    """
    owner = path.stat().st_uid
    if os.geteuid() in {0, owner} or all(path.with_name(path.name + end).exists() for end in ("-wal", "-shm")):
        return
    with path.open("rb") as file:
        is_wal = file.read(_VERSIONS_AT + len(_WAL))[_VERSIONS_AT:] == _WAL
    if is_wal:
        raise SourceUnavailable(
            f"{path.name} is in WAL mode and belongs to another user (uid {owner}), and no program has it open: that "
            "would leave files that its owner could not write. Do it as that user, or while a program has it open"
        )


class SqliteSource:
    """Implements ``Source``. The file is opened to be read only.

    Numbers of 8 bytes with a fraction are written with as many digits as
    tell them apart, which is more than SQLite's own 15. Keys are compared by
    their bytes, whatever order the table declares for them: else two that
    differ by their case alone could count as one.
    """

    def __init__(
        self,
        path: Path,
        source: TableSource,
        columns: Sequence[str],
        conditions: Sequence[Condition] = (),
        *,
        where: str = "",
        is_brief: bool = False,
    ) -> None:
        """``is_brief``: for a caller who waits, a writer that has the whole file is not waited for as long."""
        self._is_brief = is_brief
        self._path = path
        self._source = source
        self._columns = tuple(columns)
        self._conditions = tuple(conditions)
        self._where_clauses = [f"({where})"] if where else []
        self._interruption = Interruption()

    def interrupt(self) -> None:
        """As the port says."""
        self._interruption.interrupt()

    def count(self, limit: int) -> int:
        """As the port says; of the rows that are there at this moment."""
        fits, values = self._fits()
        query = f"SELECT count(*) FROM (SELECT 1 FROM {self._table} AS t {_where(fits)} LIMIT ?)"  # noqa: S608  # names in quotes
        with self._named(), self._open() as db:
            late = Timer(COUNT_S, db.interrupt)
            late.start()
            try:
                self._check(db)
                return int(_one(db, query, (*values, limit)))
            finally:
                late.cancel()

    def _fits(self) -> tuple[list[str], list[Value]]:
        """What rows must be like, as SQL, and the values of its marks; those of ``in`` are in tables of ``_give``."""
        clauses, values = [], list[Value]()
        for number, condition in enumerate(self._conditions):
            column = f"t.{quoted(condition.column)}"
            if (bound := bound_of(condition)) is not None:
                said: list[Value] = []
                within = texts_within(column, f"replace({column}, 'T', ' ')", condition, bound, partial(_marked, said))
                clauses.append(within)
                values += said
                continue
            if condition.test != "in":
                clauses.append(f"{column} {condition.test} ?")
                values += condition.values
                continue
            # A text is one of the column by its bytes alone, whatever its collation takes for the same. The first test
            # may use an index.
            given = f"SELECT v FROM temp.{_GIVEN}{number}"  # noqa: S608  # a name of ours
            clauses.append(
                f"({column} IN ({given}) AND (typeof({column}) <> 'text' OR {column} COLLATE BINARY IN ({given})))"
            )
        return [*clauses, *self._where_clauses], values

    def describe(self) -> tuple[SourceColumn, ...]:
        """As the port says. Where a type promises nothing, as DATE, it is what the first rows hold."""
        with self._named(), self._open() as db:
            found = self._check(db)
            return tuple(described_column(db, self._source.table, found[name]) for name in self._columns or found)

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        """As the port says; of one moment."""
        fits, values = self._fits()
        with self._named(), self._open() as db:
            db.execute("BEGIN")
            self._check(db)
            collates = collates_texts(db, self._source.table)

            def key_behind(after: Cursor | None, rows: int) -> Cursor:
                query = self._query((), is_first=after is None, is_last=True, collates=collates)
                found = db.execute(f"{query} OFFSET ?", (*values, *(after or ()), 1, rows - 1)).fetchone()
                return self._cursor(found)

            count = _one(db, f"SELECT count(*) FROM {self._table} AS t {_where(fits)}", values)  # noqa: S608  # names in quotes
            return find_bounds(count, splits, rows_min, key_behind)

    def _give(self, db: sqlite3.Connection, columns: Mapping[str, SqliteColumn]) -> None:
        """Put what columns are compared with where queries find it. Raises ``ConditionError``."""
        for number, condition in enumerate(self._conditions):
            column = columns[condition.column]
            if (bound := bound_of(condition)) is not None:
                self._check_dates(db, column)
                check_bound(condition, bound, column.expected, with_zone=False, digits=9)
                continue
            meant = typed(condition, column.expected, partial(meant_by, column))
            foreign = [index for index, one in enumerate(meant) if not one.is_own]
            if foreign and not self._has_others(db, column):
                raise ConditionError(column.name, column.expected, field=condition.field, index=foreign[0])
            if condition.test == "in":
                db.execute(f"CREATE TEMP TABLE {_GIVEN}{number} (v)")
                found = sorted(frozenset[Stored]().union(*(one.values for one in meant)), key=repr)
                db.executemany(f"INSERT INTO temp.{_GIVEN}{number} VALUES (?)", ((one,) for one in found))  # noqa: S608

    def _check_dates(self, db: sqlite3.Connection, column: SqliteColumn) -> None:
        """Raise ``SourceError`` for a column that a range of dates means nothing to: all rows would fit, or none.

        The first and last values are looked at, which an index finds at once.
        """
        if column.own and column.own != {"text"}:
            raise no_dates(self._place, column.name, column.type)
        name = f"t.{quoted(column.name)} COLLATE BINARY"
        edges = f"SELECT min({name}) FROM {self._table} AS t WHERE {name} <> '' UNION ALL SELECT max({name}) FROM {self._table} AS t"  # noqa: S608, E501  # names in quotes
        for (value,) in db.execute(edges):
            if value not in {None, ""} and not _DATED.match(str(value)):
                kind = "a column of texts" if isinstance(value, str) else "a column of numbers or bytes"
                raise no_dates(self._place, column.name, f"{kind} that are no dates")

    def _has_others(self, db: sqlite3.Connection, column: SqliteColumn) -> bool:
        """Whether some row has a value that is not of the column's type."""
        kind = f"typeof(t.{quoted(column.name)})"
        own = ", ".join(f"'{name}'" for name in sorted({*column.own, "null"}))
        query = f"SELECT 1 FROM {self._table} AS t WHERE {kind} NOT IN ({own}) LIMIT 1"  # noqa: S608  # names in quotes
        return db.execute(query).fetchone() is not None

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        """As the port says. In a snapshot the file's writers go on, since it must be in WAL mode for one."""
        with ExitStack() as stack:
            with self._named():
                db = stack.enter_context(self._open())
                if self._source.is_snapshot:
                    db.execute("BEGIN")
                # The schema is a table, so that a snapshot is fixed before the clock is read.
                read_at = _one(db, "SELECT (julianday('now') - ?) * ?, (SELECT 1 FROM sqlite_schema)", (_EPOCH, DAY_S))
                self._check(db)
            yield Slices(read_at, self._slices(db, after, until))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of SQLite within are of this table, and not of the store that its rows go to."""
        try:
            yield
        except sqlite3.OperationalError as error:
            kind = SourceUnavailable if error.sqlite_errorcode & 0xFF in _PASSING else SourceError
            raise kind(f"{self._place}: {error}") from error
        except (sqlite3.Error, OverflowError) as error:
            raise SourceError(f"{self._place}: {error}") from error

    @property
    def _place(self) -> str:
        return f"table {self._source.table} of {self._path.name}"

    @property
    def _table(self) -> str:
        """In quotes; of the file, and no table of ours beside it."""
        return f"main.{quoted(self._source.table)}"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._path.is_file():
            raise SourceError(f"there is no file {self._path}")
        check_ownership(self._path)
        db = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_STEP_S,
            isolation_level=None,
            check_same_thread=False,
            factory=PatientConnection,
        )
        db.steps = round((COUNT_S / 2 if self._is_brief else BUSY_TIMEOUT_S) / BUSY_STEP_S)
        db.between_steps = self._interruption.check
        with closing(db), self._interruption.ended_by(db.interrupt):
            db.execute("PRAGMA temp_store = MEMORY")
            # Bytes that are no UTF-8 reach the check of values, which says where they are.
            db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            yield db

    def _check(self, db: sqlite3.Connection) -> dict[str, SqliteColumn]:
        """Give its columns by name.

        Raise ``SourceError`` for a table that cannot be read whole and each row once, as it is defined.
        """
        table, key = self._source.table, self._source.key
        if self._source.is_snapshot and _one(db, "PRAGMA journal_mode") != "wal":
            raise SourceError(
                f"{self._path.name} is not in WAL mode, so that reading it at one moment would keep its writers "
                "waiting: set PRAGMA journal_mode=WAL once, or consistency: key in the dataset"
            )
        described = db.execute('SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?)', (table,))
        found = list(map(SqliteColumn._make, described))
        if not found:
            raise SourceError(f"there is no table {table} in {self._path.name}")
        names = {column.name for column in found}
        compared = [condition.column for condition in self._conditions]
        if missing := [name for name in (*self._columns, *key, *compared) if name not in names]:
            raise SourceError(f"{self._place} has no column {', '.join(missing)}; it has {', '.join(sorted(names))}")
        if not is_unique(db, table, set(key), found):
            raise SourceError(
                f"no unique index of {self._place} is made of columns of the key {', '.join(key)}: rows that it does "
                "not tell apart would be left out"
            )
        unknown = " OR ".join(f"t.{quoted(name)} IS NULL" for name in key)
        if db.execute(f"SELECT 1 FROM {self._table} AS t WHERE {unknown} LIMIT 1").fetchone():  # noqa: S608  # names in quotes
            raise SourceError(f"{self._place} has a row without a value in its key {', '.join(key)}")
        columns = {column.name: column for column in found}
        self._give(db, columns)
        return columns

    def _slices(self, db: sqlite3.Connection, after: Cursor | None, until: Cursor | None) -> Iterator[Slice]:
        is_last = False
        while not is_last:
            with self._named():
                collates = collates_texts(db, self._source.table)
                query = self.page_query(is_first=after is None, is_last=until is None, collates=collates)
                page = db.execute(query, (*self._fits()[1], *(after or ()), *(until or ()), PAGE_ROWS))
            count, size = 0, 0
            rows: list[tuple[Any, ...]] = []
            while row := self._next_row(page):
                count += 1
                rows.append(row)
                size += _bytes_of(row)
                if size >= SLICE_BYTES:
                    yield self._slice(rows)
                    rows, size = [], 0
                after = row[len(self._columns) :]
            if rows:
                yield self._slice(rows)
            is_last = count < PAGE_ROWS

    def _slice(self, rows: Sequence[tuple[Any, ...]]) -> Slice:
        width = len(self._columns)
        columns, cursor = list(zip(*rows, strict=True))[:width], rows[-1][width:]
        return Slice([_texts(values) for values in columns], len(rows), self._cursor(cursor))

    def _cursor(self, key: tuple[Any, ...]) -> Cursor:
        if not all(isinstance(value, str | int | float | bytes) and _is_text(value) for value in key):
            raise SourceError(f"{self._place} has a key that is not UTF-8: no reading could go on behind it")
        return key

    def _next_row(self, page: sqlite3.Cursor) -> tuple[Any, ...] | None:
        with self._named():
            row: tuple[Any, ...] | None = page.fetchone()
            return row

    def page_query(self, *, is_first: bool, is_last: bool = True, collates: bool = True) -> str:
        """The query of a page. Names stand behind ``t.``: alone in quotes, SQLite takes one that is none for a text.

        ``is_last``: up to the last row. ``collates``: the table declares orders of its own, beside which an index finds
        the place of fewer keys.
        """
        return self._query(self._columns, is_first=is_first, is_last=is_last, collates=collates)

    def _query(self, columns: Sequence[str], *, is_first: bool, is_last: bool, collates: bool) -> str:
        key = [f"t.{quoted(name)}{' COLLATE BINARY' if collates else ''}" for name in self._source.key]
        fits = self._fits()[0]
        if not is_first:
            fits.append(f"({', '.join(key)}) > ({', '.join('?' * len(key))})")
        if not is_last:
            fits.append(f"({', '.join(key)}) <= ({', '.join('?' * len(key))})")
        chosen = ", ".join(f"t.{quoted(name)}" for name in (*columns, *self._source.key))
        return f"SELECT {chosen} FROM {self._table} AS t {_where(fits)} ORDER BY {', '.join(key)} LIMIT ?"  # noqa: S608  # names in quotes


def _texts(values: Sequence[Any]) -> Sequence[str | None]:
    """A column's values as cells."""
    kinds = set(map(type, values))
    if kinds <= _TEXTS:
        return values
    return list(map(str, values)) if kinds == {int} else list(map(_text, values))


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _bytes_of(row: tuple[Any, ...]) -> int:
    """The texts of all its values have at most so many bytes of UTF-8."""
    return sum(_CHAR_BYTES_MAX * len(cell) if isinstance(cell, str | bytes) else _NUMBER_CHARS_MAX for cell in row)


def _is_text(value: str | float | bytes) -> bool:
    """Whether a text is what SQLite takes back; any other value is."""
    try:
        return not isinstance(value, str) or value.encode() is not None
    except UnicodeEncodeError:
        return False


def _where(clauses: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(clauses)}" if clauses else ""


def _marked(values: list[Value], text: str) -> str:
    """A mark for one more of the values."""
    values.append(text)
    return "?"


def _one(db: sqlite3.Connection, query: str, values: Sequence[Value] = ()) -> Any:
    return db.execute(query, values).fetchone()[0]
