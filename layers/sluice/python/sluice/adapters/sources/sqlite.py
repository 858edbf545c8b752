"""Reads a table of a SQLite file in the order of a key, page by page."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sluice.domain.dataset import TableSource
from sluice.domain.limits import MIB
from sluice.ports.source import Cell, Cursor, Slice, SourceError

PAGE_ROWS = 2_000
SLICE_BYTES = MIB
"""A slice ends with the row that reaches this size."""
BUSY_TIMEOUT_S = 30
"""How long a writer that has the whole file is waited for."""
_CHAR_BYTES_MAX = 4
_NUMBER_CHARS_MAX = 24
_EXACT = frozenset({str, int, type(None)})


class SqliteSource:
    """Implements ``Source``. The file is opened to be read only.

    Numbers of 8 bytes with a fraction are written with as many digits as
    tell them apart, which is more than SQLite's own 15. Keys are compared by
    their bytes, whatever order the table declares for them: else two that
    differ by their case alone could count as one.
    """

    def __init__(self, path: Path, source: TableSource, columns: Sequence[str]) -> None:
        self._path = path
        self._source = source
        self._columns = tuple(columns)

    @contextmanager
    def reading(self, after: Cursor | None = None) -> Iterator[Iterator[Slice]]:
        """As the port says. In a snapshot the file's writers go on, since it must be in WAL mode for one."""
        with ExitStack() as stack:
            with self._named():
                db = stack.enter_context(closing(self._open()))
                if self._source.consistency == "snapshot":
                    db.execute("BEGIN")
                self._check(db)
            yield self._slices(db, after)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of SQLite within are of this table, and not of the store that its rows go to."""
        try:
            yield
        except sqlite3.Error as error:
            raise SourceError(f"{self._place}: {error}") from error

    @property
    def _place(self) -> str:
        return f"table {self._source.table} of {self._path.name}"

    def _open(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise SourceError(f"there is no file {self._path}")
        db = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
        # Bytes that are no UTF-8 reach the check of values, which says where they are.
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        """Raise ``SourceError`` for a table that cannot be read whole and each row once, as it is defined."""
        table, key = self._source.table, self._source.key
        if self._source.consistency == "snapshot" and _one(db, "PRAGMA journal_mode") != "wal":
            raise SourceError(
                f"{self._path.name} is not in WAL mode, so that reading it at one moment would keep its writers "
                "waiting: set PRAGMA journal_mode=WAL once, or consistency: key in the dataset"
            )
        found = list(map(_Column._make, db.execute('SELECT name, "notnull", pk FROM pragma_table_xinfo(?)', (table,))))
        if not found:
            raise SourceError(f"there is no table {table} in {self._path.name}")
        names = {column.name for column in found}
        if missing := [name for name in (*self._columns, *key) if name not in names]:
            raise SourceError(f"{self._place} has no column {', '.join(missing)}; it has {', '.join(sorted(names))}")
        if not _is_unique(db, table, set(key), found):
            raise SourceError(
                f"no unique index of {self._place} is made of columns of the key {', '.join(key)}: rows that it does "
                "not tell apart would be left out"
            )
        unknown = " OR ".join(f"t.{_quoted(name)} IS NULL" for name in key)
        if db.execute(f"SELECT 1 FROM {_quoted(table)} AS t WHERE {unknown} LIMIT 1").fetchone():  # noqa: S608  # names in quotes
            raise SourceError(f"{self._place} has a row without a value in its key {', '.join(key)}")

    def _slices(self, db: sqlite3.Connection, after: Cursor | None) -> Iterator[Slice]:
        width, is_last = len(self._columns), False
        while not is_last:
            with self._named():
                query = self.page_query(is_first=after is None, collates=_collates(db, self._source.table))
                page = db.execute(query, (*(after or ()), PAGE_ROWS))
            count, size = 0, 0
            rows: list[tuple[Cell, ...]] = []
            while row := self._next_row(page):
                count, after = count + 1, row[width:]
                rows.append(_cells(row[:width]))
                size += _bytes_of(rows[-1])
                if size >= SLICE_BYTES:
                    yield Slice(rows, after, size)
                    rows, size = [], 0
            if rows and after is not None:
                yield Slice(rows, after, size)
            is_last = count < PAGE_ROWS

    def _next_row(self, page: sqlite3.Cursor) -> tuple[Any, ...] | None:
        with self._named():
            row: tuple[Any, ...] | None = page.fetchone()
            return row

    def page_query(self, *, is_first: bool, collates: bool = True) -> str:
        """The query of a page. Names stand behind ``t.``: alone in quotes, SQLite takes one that is none for a text.

        ``collates``: the table declares orders of its own, beside which an index finds the place of fewer keys.
        """
        key = [f"t.{_quoted(name)}{' COLLATE BINARY' if collates else ''}" for name in self._source.key]
        behind = "" if is_first else f"WHERE ({', '.join(key)}) > ({', '.join('?' * len(key))})"
        chosen = ", ".join(f"t.{_quoted(name)}" for name in (*self._columns, *self._source.key))
        table = _quoted(self._source.table)
        return f"SELECT {chosen} FROM {table} AS t {behind} ORDER BY {', '.join(key)} LIMIT ?"  # noqa: S608  # names in quotes


class _Column(NamedTuple):
    """A column as SQLite describes it."""

    name: str
    is_never_null: int
    place_in_primary_key: int


def _is_unique(db: sqlite3.Connection, table: str, key: set[str], columns: Sequence[_Column]) -> bool:
    """Whether some unique index, or the primary key, is made of columns of ``key`` alone."""
    primary = {column.name for column in columns if column.place_in_primary_key}
    if primary and primary <= key:
        return True
    indexes = db.execute('SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)).fetchall()
    for (index,) in indexes:
        parts = {name for (name,) in db.execute("SELECT name FROM pragma_index_info(?)", (index,))}
        if None not in parts and parts <= key:
            return True
    return False


def _collates(db: sqlite3.Connection, table: str) -> bool:
    """Whether some column may compare texts otherwise than by their bytes."""
    made = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (table,))
    return "collate" in str(made.fetchone()).lower()


def _cells(row: tuple[Any, ...]) -> tuple[Cell, ...]:
    """The row's values as cells; most rows have nothing else than texts, whole numbers and nulls."""
    return row if _EXACT.issuperset(map(type, row)) else tuple(map(_cell, row))


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return repr(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _bytes_of(cells: tuple[Cell, ...]) -> int:
    return sum(_CHAR_BYTES_MAX * len(cell) if isinstance(cell, str) else _NUMBER_CHARS_MAX for cell in cells)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _one(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]
