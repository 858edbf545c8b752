"""Asks MySQL or MariaDB whether a table can be read as it is defined, and how its columns are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice.adapters.databases.mysql_literals import (
    BINARIES,
    INTEGERS,
    NO_ORDER,
    quoted_identifier,
    text_bytes,
    typed_literal,
)
from sluice.adapters.databases.mysql_session import MysqlSession
from sluice.adapters.databases.typed_values import NotOfItsType, text_for
from sluice.domain.dataset import TableSource
from sluice.domain.pulled import Value
from sluice.domain.schema import ColumnType
from sluice.ports.source import SourceColumn, SourceError

_PLAIN_BYTES = 80
"""No number or time is a longer text."""
_CHAR_BYTES = 3
"""A byte of a column's own characters is at most so many of UTF-8."""


_KINDS_OF_VALUES = {
    "date": ColumnType.DATE,
    "datetime": ColumnType.DATETIME,
    "timestamp": ColumnType.DATETIME,
    **dict.fromkeys((*INTEGERS, "decimal", "float", "double"), ColumnType.NUMBER),
}
"""By types, of which BOOLEAN is a number; the values of any other are texts."""


class MysqlColumn(NamedTuple):
    """A column as the server describes it."""

    name: str
    kind: str
    """Its type, without length and sign."""
    type: str
    """As it was declared."""
    has_value: bool
    collation: str
    bytes_max: int

    @property
    def raw(self) -> str:
        """The column itself."""
        return f"t.{quoted_identifier(self.name)}"

    @property
    def shown(self) -> str:
        """What is read."""
        return f"CAST({self.raw} AS UNSIGNED)" if self.kind == "bit" else self.raw

    @property
    def placed(self) -> str:
        """What a key is read and compared as: of a TIMESTAMP its seconds since 1970, for an hour may be there twice."""
        return f"UNIX_TIMESTAMP({self.raw})" if self.kind == "timestamp" else self.shown

    @property
    def is_binary(self) -> bool:
        """Whether its bytes are no text."""
        return self.kind in BINARIES or self.kind in NO_ORDER

    @property
    def is_text(self) -> bool:
        """Whether a collation says how it is compared."""
        return bool(self.collation) or self.kind == "json"

    @property
    def compared(self) -> str:
        """By its bytes where it is a text: collations take letters of both cases for equal, and spaces at the end."""
        return f"CAST(CONVERT({self.raw} USING utf8mb4) AS BINARY)" if self.is_text else self.raw

    @property
    def equalled(self) -> str:
        """As ``compared``, by what is shown of it.

        What is stored of a FLOAT has more digits, and two TIMESTAMPs may be one time of the connection's clock.
        """
        if self.kind == "timestamp":
            return f"CAST({self.raw} AS DATETIME(6))"
        return f"(CAST({self.raw} AS CHAR) + 0e0)" if self.kind == "float" else self.compared

    def literal(self, value: Value) -> str:
        """To be compared with ``compared``. Raises ``NotOfItsType``."""
        if self.kind in NO_ORDER:
            raise NotOfItsType
        return text_bytes(text_for(value)) if self.is_text else typed_literal(self.kind, value)

    @property
    def is_exact(self) -> bool:
        """Whether its text is all of its value: of a FLOAT, and of a DOUBLE with so many digits, it is rounded."""
        return self.kind not in NO_ORDER and self.kind != "float" and not self.type.startswith("double(")

    @property
    def described(self) -> SourceColumn:
        """As the port says."""
        kind = _KINDS_OF_VALUES.get(self.kind, ColumnType.STRING)
        return SourceColumn(self.name, kind, self.type, not self.has_value)


class MysqlTable(NamedTuple):
    """A table that can be read as it is defined."""

    name: str
    """In quotes, with its database."""
    columns: Mapping[str, MysqlColumn]


def describe_mysql_table(session: MysqlSession, source: TableSource, place: str, names: Sequence[str]) -> MysqlTable:
    """Look at the table. Raises ``SourceError`` if it cannot be read whole and each row once, or lacks ``names``."""
    schema, table = source.place
    which = f"table_schema = {_text(schema) if schema else 'DATABASE()'} AND table_name = {_text(table)}"
    found = session.fetch(f"SELECT table_type, engine FROM information_schema.tables WHERE {which}")  # noqa: S608  # values in quotes
    if not found:
        raise SourceError(f"there is no {place}, or the user may not see it")
    kind, engine = (str(value) for value in found[0])
    if kind not in {"BASE TABLE", "SYSTEM VERSIONED"}:
        raise SourceError(f"{place} is a {kind.lower()}: only tables have keys")
    if source.is_snapshot and engine.lower() != "innodb":
        raise SourceError(f"{place} is kept by {engine}, which knows no snapshots: set consistency: key in the dataset")
    columns = {column.name: column for column in _columns(session, which)}
    if missing := [name for name in (*names, *source.key) if name not in columns]:
        raise SourceError(f"{place} has no column {', '.join(missing)}; it has {', '.join(sorted(columns))}")
    if rough := [name for name in source.key if not columns[name].is_exact]:
        raise SourceError(f"{place}: {', '.join(rough)} cannot be in a key, since its type is rounded as a text")
    if not any(index <= set(source.key) for index in _unique(session, which)):
        raise SourceError(
            f"no unique index of {place} is made of columns of the key {', '.join(source.key)}: rows that it does "
            "not tell apart would be left out"
        )
    described = MysqlTable(
        f"{quoted_identifier(schema)}.{quoted_identifier(table)}" if schema else quoted_identifier(table), columns
    )
    unsure = [columns[name] for name in source.key if not columns[name].has_value]
    unknown = " OR ".join(f"{column.raw} IS NULL" for column in unsure)
    if unsure and session.fetch(f"SELECT 1 FROM {described.name} AS t WHERE {unknown} LIMIT 1"):  # noqa: S608  # names in quotes
        raise SourceError(f"{place} has a row without a value in its key {', '.join(source.key)}")
    return described


def _columns(session: MysqlSession, which: str) -> list[MysqlColumn]:
    query = (
        "SELECT column_name, data_type, column_type, is_nullable, collation_name, character_octet_length "  # noqa: S608  # values in quotes
        f"FROM information_schema.columns WHERE {which} ORDER BY ordinal_position"
    )
    found = []
    for name, kind, declared, nullable, collation, octets in session.fetch(query):
        size = _CHAR_BYTES * int(octets) if octets else _PLAIN_BYTES
        if kind in NO_ORDER or kind == "json":
            size = 1 << 30
        made = MysqlColumn(str(name), str(kind).lower(), str(declared).lower(), nullable == "NO", collation or "", size)
        found.append(made)
    return found


def _unique(session: MysqlSession, which: str) -> list[set[str | None]]:
    """The columns of each unique index; None stands for an expression."""
    query = f"SELECT index_name, column_name FROM information_schema.statistics WHERE {which} AND non_unique = 0"  # noqa: S608  # values in quotes
    indexes: dict[str | None, set[str | None]] = {}
    for name, column in session.fetch(query):
        indexes.setdefault(name, set()).add(column)
    return list(indexes.values())


def _text(value: str) -> str:
    return f"CONVERT({text_bytes(value)} USING utf8mb4)"
