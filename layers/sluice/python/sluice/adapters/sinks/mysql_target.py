"""A table of MySQL that rows are loaded into: looked at, made, widened, and the side table that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice.adapters.databases.mysql_literals import quoted_identifier, text_bytes
from sluice.adapters.databases.mysql_writing import MysqlWriter
from sluice.adapters.sinks.ledger_names import ORDER
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.ports.sink import SinkError

_TYPES = {
    ColumnType.STRING: "LONGTEXT",
    ColumnType.NUMBER: "DECIMAL(65,30)",
    ColumnType.DATE: "DATE",
    ColumnType.DATETIME: "DATETIME(6)",
    ColumnType.BOOLEAN: "BOOLEAN",
}
"""Of columns that are made; no type of MySQL keeps every number."""
_KEY_TEXT = "VARCHAR(255) COLLATE utf8mb4_bin"
"""Of texts that are a key: of LONGTEXT there is none, and other collations take some texts for equal."""


class MysqlTargetColumn(NamedTuple):
    """A column as the server describes it."""

    name: str
    type: str
    """With its length and the like."""
    kind: str
    """Without."""
    charset: str | None
    collation: str | None
    is_nullable: bool
    is_needed: bool
    """It takes no null, and has no default."""
    is_computed: bool
    counts: bool
    """The server numbers it itself where no value is given."""


class MysqlTarget(NamedTuple):
    """A table that is there."""

    schema: str
    table: str
    columns: Mapping[str, MysqlTargetColumn]

    @property
    def name(self) -> str:
        """In quotes, with its database."""
        return qualified(self.schema, self.table)


def qualified(schema: str, table: str) -> str:
    """A table's name in quotes."""
    return f"{quoted_identifier(schema)}.{quoted_identifier(table)}"


def is_there(writer: MysqlWriter, schema: str, table: str) -> bool:
    """Whether there is a table of this name."""
    query = f"SELECT 1 FROM information_schema.tables WHERE {_named(schema, table)}"  # noqa: S608  # values in quotes
    return bool(writer.fetch(query))


def find_table(writer: MysqlWriter, schema: str, table: str, place: str) -> MysqlTarget | None:
    """The table; None where there is none. Raises ``SinkError`` for what takes no rows, or keeps no transactions."""
    where = _named(schema, table)
    found = writer.fetch(f"SELECT table_type, engine FROM information_schema.tables WHERE {where}")  # noqa: S608  # values in quotes
    if not found:
        return None
    if found[0][0] != "BASE TABLE":
        raise SinkError(f"{place} is a {str(found[0][0]).lower()}: rows are loaded into tables")
    if found[0][1] != "InnoDB":
        raise SinkError(
            f"{place} is of {found[0][1]}, which keeps no transactions, so that rows could be there twice: "
            f"ALTER TABLE {qualified(schema, table)} ENGINE=InnoDB"
        )
    described = writer.fetch(
        "SELECT column_name, column_type, data_type, character_set_name, collation_name, is_nullable, "  # noqa: S608  # values in quotes
        f"column_default, extra FROM information_schema.columns WHERE {where} ORDER BY ordinal_position"
    )
    return MysqlTarget(schema, table, {one.name: one for one in map(_column, described)})


def _column(row: Sequence[str | None]) -> MysqlTargetColumn:
    name, kind, extra = str(row[0]), str(row[2]).lower(), str(row[7]).upper()
    is_nullable, counts, is_computed = row[5] == "YES", "AUTO_INCREMENT" in extra, "GENERATED" in extra.split()
    is_needed = not (is_nullable or counts or is_computed) and row[6] is None
    return MysqlTargetColumn(
        name, str(row[1]).lower(), kind, row[3], row[4], is_nullable, is_needed, is_computed, counts
    )


def make_table(writer: MysqlWriter, name: str, columns: Sequence[ColumnSpec], key: Sequence[str]) -> None:
    """A table of these columns, with ``key`` as its key where there is one."""
    parts = [f"{quoted_identifier(column.name)} {_type_of(column, is_key=column.name in key)}" for column in columns]
    parts += [f"PRIMARY KEY ({_list(key)})"] if key else []
    writer.execute(f"CREATE TABLE {name} ({', '.join(parts)}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4")


def widen(writer: MysqlWriter, table: MysqlTarget, columns: Sequence[ColumnSpec]) -> None:
    """Add columns, null in the rows that are there."""
    parts = [f"ADD COLUMN {quoted_identifier(column.name)} {_type_of(column)}" for column in columns]
    writer.execute(f"ALTER TABLE {table.name} {', '.join(parts)}")


def _type_of(column: ColumnSpec, *, is_key: bool = False) -> str:
    if column.type is not ColumnType.STRING:
        return f"{_TYPES[column.type]}{' NOT NULL' if is_key else ' NULL'}"
    return f"{_KEY_TEXT} NOT NULL" if is_key else f"{_TYPES[column.type]} CHARACTER SET utf8mb4 NULL"


def check_key(writer: MysqlWriter, table: MysqlTarget, key: Sequence[str], names: Sequence[str], place: str) -> None:
    """Raises ``SinkError`` unless the key is that of a unique index, and rows can be equal by no other one.

    A row that is there is found again by any unique index, and the wrong one could be changed.
    """
    indexes: dict[str, list[tuple[str, bool]]] = {}
    for index, column, part in writer.fetch(
        "SELECT index_name, column_name, sub_part FROM information_schema.statistics "  # noqa: S608  # values in quotes
        f"WHERE {_named(table.schema, table.table)} AND non_unique = 0 ORDER BY index_name, seq_in_index"
    ):
        indexes.setdefault(str(index), []).append((str(column), part is None))
    ours = [name for name, parts in indexes.items() if sorted(parts) == sorted((one, True) for one in key)]
    if not ours:
        raise SinkError(
            f"no unique index of {place} is over exactly the key {', '.join(key)}, by which a row would be found "
            f"again; to make one: CREATE UNIQUE INDEX {quoted_identifier('_'.join(key)[:64])} "
            f"ON {table.name} ({_list(key)})"
        )
    numbered = {one.name for one in table.columns.values() if one.counts and one.name not in names}
    others = [
        name
        for name, parts in indexes.items()
        if name not in ours and not any(column in numbered for column, _ in parts)
    ]
    if others:
        raise SinkError(
            f"{place} has other unique indexes than that of the key: {', '.join(others)}; by any of them MySQL would "
            "take a row for one that is there, and change it"
        )


def check_swap(writer: MysqlWriter, table: MysqlTarget, place: str) -> None:
    """Raises ``SinkError`` where another table in this one's place would not have what belongs to it."""
    at, where = _text(table.schema), _text(table.table)
    triggers = writer.fetch(
        "SELECT trigger_name FROM information_schema.triggers "  # noqa: S608  # values in quotes
        f"WHERE event_object_schema = {at} AND event_object_table = {where}"
    )
    references = writer.fetch(
        "SELECT DISTINCT constraint_name FROM information_schema.key_column_usage WHERE referenced_table_name IS NOT "  # noqa: S608  # values in quotes
        f"NULL AND ((table_schema = {at} AND table_name = {where}) "
        f"OR (referenced_table_schema = {at} AND referenced_table_name = {where}))"
    )
    if found := [str(row[0]) for row in (*triggers, *references)]:
        raise SinkError(
            f"{place} cannot be replaced: the table that takes its place would not have its triggers and references "
            f"({', '.join(found)}); use mode: upsert, or delete its rows and use append"
        )


def make_side(writer: MysqlWriter, table: MysqlTarget, side: str, names: Sequence[str], key: Sequence[str]) -> None:
    """A table for rows that are merged later, with columns of the same types, in the order in which rows came."""
    parts = [f"{ORDER} BIGINT NOT NULL PRIMARY KEY"]
    for column in (table.columns[name] for name in names):
        texts = f" CHARACTER SET {column.charset} COLLATE {column.collation}" if column.charset else ""
        null = "NULL" if column.is_nullable and column.name not in key else "NOT NULL"
        parts.append(f"{quoted_identifier(column.name)} {column.type}{texts} {null}")
    writer.execute(f"CREATE TABLE IF NOT EXISTS {side} ({', '.join(parts)}) ENGINE=InnoDB")


def make_like(writer: MysqlWriter, table: MysqlTarget, side: str) -> None:
    """A table like it, with its indexes, to take its place."""
    writer.execute(f"CREATE TABLE IF NOT EXISTS {side} LIKE {table.name}")


def merge_statement(table: MysqlTarget, side: str, names: Sequence[str], key: Sequence[str]) -> str:
    """Rows of new keys are added, others changed, one after the other: of rows of one key the last one counts."""
    changed = [quoted_identifier(name) for name in names if name not in key] or [quoted_identifier(key[0])]
    sets = ", ".join(f"{name} = VALUES({name})" for name in changed)
    return (
        f"INSERT INTO {table.name} ({_list(names)}) SELECT {_list(names)} FROM {side} ORDER BY {ORDER} "  # noqa: S608  # names in quotes
        f"ON DUPLICATE KEY UPDATE {sets}"
    )


def insert_head(name: str, names: Sequence[str]) -> str:
    """An INSERT up to its rows."""
    return f"INSERT INTO {name} ({_list(names)}) VALUES"  # names in quotes


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(quoted_identifier, names))


def _named(schema: str, table: str) -> str:
    return f"table_schema = {_text(schema)} AND table_name = {_text(table)}"


def _text(text: str) -> str:
    return f"CONVERT({text_bytes(text)} USING utf8mb4)"
