"""Asks SQLite whether a key tells the rows of a table apart, and what its columns are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from sluice.adapters.sources.sqlite_values import SqliteColumn
from sluice.ports.source import SourceColumn

_LOOKED_AT_ROWS = 1_000
"""So many rows say what a column holds whose type promises nothing."""


def described_column(db: sqlite3.Connection, table: str, column: SqliteColumn) -> SourceColumn:
    """As the port says. Where a type promises nothing, as DATE, it is what the first rows hold."""
    seen = column.own
    if not seen:
        first = f"SELECT t.{quoted(column.name)} AS v FROM main.{quoted(table)} AS t LIMIT ?"  # noqa: S608  # in quotes
        kinds = db.execute(f"SELECT DISTINCT typeof(v) FROM ({first})", (_LOOKED_AT_ROWS,))  # noqa: S608  # in quotes
        seen = frozenset(kind for (kind,) in kinds) - {"null"}
    return SourceColumn(column.name, column.kind_of(seen), column.type, column.is_nullable)


def is_unique(db: sqlite3.Connection, table: str, key: set[str], columns: Sequence[SqliteColumn]) -> bool:
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


def collates_texts(db: sqlite3.Connection, table: str) -> bool:
    """Whether some column may compare texts otherwise than by their bytes."""
    made = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (table,))
    return "collate" in str(made.fetchone()).lower()


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'
