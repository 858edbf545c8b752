"""A table of PostgreSQL that rows are loaded into: looked at, made, widened, and the side table that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice.adapters.databases.postgresql_literals import literal, quoted_name
from sluice.adapters.databases.postgresql_writing import PostgresqlWriter
from sluice.adapters.sinks.ledger_names import ORDER
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.target import TableTarget
from sluice.ports.sink import SinkError

_TYPES = {
    ColumnType.STRING: "text",
    ColumnType.NUMBER: "numeric",
    ColumnType.DATE: "date",
    ColumnType.DATETIME: "timestamp with time zone",
    ColumnType.BOOLEAN: "boolean",
}
"""Of columns that are made. A point in time keeps its offset's meaning: without a zone it would lose it silently."""
_TABLES = """
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relkind::text AS kind
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname::text = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname::text = $1 END
"""
# A domain takes what the type that it is made of takes.
_COLUMNS = """
WITH RECURSIVE made_of AS (
    SELECT attnum, attname, atttypid AS type, atttypmod AS modifier, attgenerated <> '' AS is_computed,
           attnotnull AND NOT atthasdef AND attidentity = '' AS is_needed
    FROM pg_catalog.pg_attribute WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped
  UNION ALL
    SELECT attnum, attname, typbasetype, typtypmod, is_computed, is_needed
    FROM made_of JOIN pg_catalog.pg_type ON pg_type.oid = made_of.type WHERE typtype = 'd'
)
SELECT attname::text AS name, pg_catalog.format_type(t.oid, modifier) AS type, is_computed, is_needed
FROM made_of JOIN pg_catalog.pg_type t ON t.oid = made_of.type WHERE t.typtype <> 'd' ORDER BY attnum
"""
_KEYS = """
SELECT ARRAY(SELECT a.attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY AS u (k, n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = indrelid AND a.attnum = k WHERE n <= indnkeyatts) AS columns
FROM pg_catalog.pg_index
WHERE indrelid = $1::int8::oid AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL AND indexprs IS NULL
"""
_CASCADES = """
SELECT conname::text AS name, conrelid::regclass::text AS "table" FROM pg_catalog.pg_constraint
WHERE confrelid = $1::int8::oid AND conrelid <> confrelid AND contype = 'f' AND confdeltype IN ('c', 'n', 'd')
"""
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


class TargetColumn(NamedTuple):
    """A column as the catalog describes it."""

    name: str
    type: str
    """With its length and the like."""
    is_computed: bool
    is_needed: bool
    """It takes no null, and has no default."""


class PostgresqlTarget(NamedTuple):
    """A table that is there."""

    oid: int
    schema: str
    table: str
    is_partitioned: bool
    columns: Mapping[str, TargetColumn]

    @property
    def name(self) -> str:
        """In quotes, with its schema."""
        return f"{quoted_name(self.schema)}.{quoted_name(self.table)}"


def schema_of(writer: PostgresqlWriter, target: TableTarget, place: str) -> str:
    """The schema that the table is in, or would be made in. Raises ``SinkError``."""
    schema, table = target.place
    if schema is None and (found := writer.fetch(_TABLES, None, table)):
        return str(found[0]["schema"])
    query = "SELECT coalesce($1::text, current_schema()) AS schema, to_regnamespace(quote_ident($1::text)) AS found"
    row = writer.fetch(query, schema)[0]
    if row["schema"] is None or (schema is not None and row["found"] is None):
        raise SinkError(f"{place}: there is no schema {schema or 'that is looked in by default'}")
    return str(row["schema"])


def find_table(writer: PostgresqlWriter, schema: str, table: str, place: str) -> PostgresqlTarget | None:
    """The table; None where there is none. Raises ``SinkError`` for what takes no rows."""
    found = writer.fetch(_TABLES, schema, table)
    if not found:
        return None
    if kind := _KINDS.get(found[0]["kind"]):
        raise SinkError(f"{place} is {kind}: rows are loaded into tables")
    oid = found[0]["oid"]
    columns = {row["name"]: TargetColumn(*row) for row in writer.fetch(_COLUMNS, oid)}
    return PostgresqlTarget(oid, schema, table, found[0]["kind"] == "p", columns)


def make_table(writer: PostgresqlWriter, name: str, columns: Sequence[ColumnSpec], key: Sequence[str]) -> None:
    """A table of these columns, with ``key`` as its key where there is one."""
    parts = [f"{quoted_name(column.name)} {_TYPES[column.type]}" for column in columns]
    parts += [f"PRIMARY KEY ({_list(key)})"] if key else []
    writer.execute(f"CREATE TABLE {name} ({', '.join(parts)})")


def widen(writer: PostgresqlWriter, table: PostgresqlTarget, columns: Sequence[ColumnSpec]) -> None:
    """Add columns, null in the rows that are there."""
    parts = [f"ADD COLUMN {quoted_name(column.name)} {_TYPES[column.type]}" for column in columns]
    writer.execute(f"ALTER TABLE {table.name} {', '.join(parts)}")


def check_key(writer: PostgresqlWriter, table: PostgresqlTarget, key: Sequence[str], place: str) -> None:
    """Raises ``SinkError`` unless a unique index is over exactly the key; it then has what would make one."""
    if any(sorted(row["columns"]) == sorted(key) for row in writer.fetch(_KEYS, table.oid)):
        return
    raise SinkError(
        f"no unique index of {place} is over exactly the key {', '.join(key)}, by which a row would be found again; "
        f"to make one: CREATE UNIQUE INDEX ON {table.name} ({_list(key)})"
    )


def check_no_cascades(writer: PostgresqlWriter, table: PostgresqlTarget, place: str) -> None:
    """Raises ``SinkError`` where to delete rows of the table changes rows of another."""
    if found := writer.fetch(_CASCADES, table.oid):
        others = ", ".join(f"{row['name']} of {row['table']}" for row in found)
        raise SinkError(f"{place} cannot be replaced: with its rows others would be deleted or changed, by {others}")


def make_side(
    writer: PostgresqlWriter, table: PostgresqlTarget, side: str, names: Sequence[str], key: Sequence[str]
) -> None:
    """A table of the same columns, types and rules for single rows, so that a row is refused where it is loaded."""
    others = [f"DROP COLUMN {quoted_name(name)}" for name in table.columns if name not in names]
    needed = [f"ALTER COLUMN {quoted_name(name)} SET NOT NULL" for name in key]
    writer.execute(
        f"CREATE TABLE {side} (LIKE {table.name} INCLUDING CONSTRAINTS); "
        f"ALTER TABLE {side} {', '.join([*others, f'ADD COLUMN {ORDER} bigint', *needed])}"
    )


def merge_statement(
    table: PostgresqlTarget, side: str, names: Sequence[str], key: Sequence[str], *, repeats: bool
) -> str:
    """Rows of new keys are added, others changed; of rows of one key the last one counts.

    ``repeats``: whether there are such rows; to choose the last one costs a sort of all that is loaded, and without it
    the server refuses them.
    """
    keys = _list(key)
    changed = [name for name in names if name not in key]
    sets = ", ".join(f"{quoted_name(name)} = excluded.{quoted_name(name)}" for name in changed)
    chosen = f"SELECT {_list(names)} FROM {side}"  # noqa: S608  # names in quotes
    if repeats:
        chosen = f"SELECT DISTINCT ON ({keys}) {_list(names)} FROM {side} ORDER BY {keys}, {ORDER} DESC"  # noqa: S608  # as well
    return (
        f"INSERT INTO {table.name} ({_list(names)}) OVERRIDING SYSTEM VALUE {chosen} "
        f"ON CONFLICT ({keys}) DO {f'UPDATE SET {sets}' if changed else 'NOTHING'}"
    )


def replace_statements(table: PostgresqlTarget, side: str, names: Sequence[str]) -> str:
    """All rows of the table give way to others; who reads it meanwhile sees the earlier ones to the end.

    The table itself stays, and with it its owner, rights, indexes, views and references: a table renamed into its place
    would have none of them. Those who write wait.
    """
    return (
        f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE; DELETE FROM {table.name}; "  # noqa: S608  # names in quotes
        f"INSERT INTO {table.name} ({_list(names)}) OVERRIDING SYSTEM VALUE "
        f"SELECT {_list(names)} FROM {side} ORDER BY {ORDER}"
    )


def is_there(writer: PostgresqlWriter, name: str) -> bool:
    """Whether there is a table of this name, in quotes."""
    return bool(writer.fetch(f"SELECT to_regclass({literal(name)}) IS NOT NULL AS found")[0]["found"])


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(quoted_name, names))
