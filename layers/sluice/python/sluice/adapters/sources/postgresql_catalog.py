"""Asks PostgreSQL's catalog whether a table can be read as it is defined, and how its columns are written as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice.adapters.databases.postgresql_literals import quoted_name
from sluice.adapters.databases.postgresql_session import PostgresqlSession
from sluice.domain.dataset import TableSource
from sluice.domain.schema import ColumnType
from sluice.ports.source import SourceColumn, SourceError

_TABLES = """
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relkind::text AS kind,
       EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid) AS has_children
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname::text = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN $1::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname::text = $1 END
"""
# A domain is read as the type that it is made of.
_COLUMNS = """
WITH RECURSIVE made_of AS (
    SELECT attnum, attname, attnotnull, attcollation, atttypid AS type, atttypmod AS length
    FROM pg_catalog.pg_attribute WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped
  UNION ALL
    SELECT attnum, attname, attnotnull, attcollation, typbasetype, typtypmod
    FROM made_of JOIN pg_catalog.pg_type ON pg_type.oid = made_of.type WHERE typtype = 'd'
)
SELECT attnum::int4 AS number, attname::text AS name, attnotnull AS has_value,
       pg_catalog.format_type(t.oid, -1) AS type, t.typcategory::text AS category, attcollation <> 0 AS is_text,
       EXISTS (SELECT FROM pg_catalog.pg_collation l WHERE l.oid = attcollation AND NOT collisdeterministic) AS is_lax,
       pg_catalog.format_type(t.oid, length) AS declared
FROM made_of JOIN pg_catalog.pg_type t ON t.oid = made_of.type WHERE t.typtype <> 'd' ORDER BY attnum
"""
# Operator classes beside the default ones may take for equal what the column's order does not. The columns are given
# as a text: for an array the driver first asks what it is made of, which takes longer than all the rest.
_UNIQUE = """
SELECT (SELECT string_agg(k::text, ' ') FROM unnest(indkey::int2[]) WITH ORDINALITY AS u (k, n)
        WHERE n <= indnkeyatts) AS columns
FROM pg_catalog.pg_index
WHERE indrelid = $1::int8::oid AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
  AND NOT EXISTS (SELECT FROM unnest(indclass::oid[]) AS u (o) JOIN pg_catalog.pg_opclass oc ON oc.oid = o
                  WHERE NOT opcdefault AND opcname::text NOT LIKE '%pattern\\_ops')
"""
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


_KINDS_OF_VALUES = {
    "boolean": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "timestamp without time zone": ColumnType.DATETIME,
    "timestamp with time zone": ColumnType.DATETIME,
    **dict.fromkeys(("smallint", "integer", "bigint", "oid", "numeric", "money"), ColumnType.NUMBER),
    **dict.fromkeys(("real", "double precision"), ColumnType.NUMBER),
}
"""By types; the values of any other are texts."""


class PostgresqlColumn(NamedTuple):
    """A column as the catalog describes it."""

    number: int
    name: str
    has_value: bool
    type: str
    """To be written behind ``::``; without a length, which would cut what is cast to it."""
    category: str
    is_text: bool
    """Whether a collation says how it is compared."""
    is_lax: bool
    """Whether that collation takes different texts for equal."""
    declared: str
    """The type with its length."""

    @property
    def raw(self) -> str:
        """The column itself."""
        return f"t.{quoted_name(self.name)}"

    @property
    def ordered(self) -> str:
        """By its bytes where it is a text: the order is then the same on every server."""
        return f'{self.raw} COLLATE "C"' if self.is_text else self.raw

    @property
    def equalled(self) -> str:
        """As it is compared with single values: money by its number, as which they are written."""
        return f"{self.raw}::numeric" if self.type == "money" else self.raw

    @property
    def shown(self) -> str:
        """As the text of a cell."""
        if self.type == "bytea":
            return f"translate(encode({self.raw}, 'base64'), E'\\n', '')"
        if self.type == "money":  # its own text depends on the country that the server is set up for
            return f"{self.raw}::numeric"
        if self.type == "boolean":
            return f"{self.raw}::text"
        return f"to_json({self.raw})" if self.category == "A" else self.raw

    @property
    def described(self) -> SourceColumn:
        """As the port says."""
        kind = _KINDS_OF_VALUES.get(self.type, ColumnType.STRING)
        return SourceColumn(self.name, kind, self.declared, not self.has_value)


class PostgresqlTable(NamedTuple):
    """A table that can be read as it is defined."""

    name: str
    """In quotes, with its schema."""
    columns: Mapping[str, PostgresqlColumn]


def describe_table(
    session: PostgresqlSession, source: TableSource, place: str, names: Sequence[str]
) -> PostgresqlTable:
    """Look at the table. Raises ``SourceError`` if it cannot be read whole and each row once, or lacks ``names``."""
    schema, table = source.place
    found = session.fetch(_TABLES, schema, table)
    if not found:
        raise SourceError(f"there is no {place}")
    if kind := _KINDS.get(found[0]["kind"]):
        raise SourceError(f"{place} is {kind}: only tables have keys")
    if found[0]["has_children"] and found[0]["kind"] == "r":
        raise SourceError(f"{place} has tables that inherit from it, whose rows its unique indexes do not know")
    oid = found[0]["oid"]
    columns = {row["name"]: PostgresqlColumn(*row) for row in session.fetch(_COLUMNS, oid)}
    if missing := [name for name in (*names, *source.key) if name not in columns]:
        raise SourceError(f"{place} has no column {', '.join(missing)}; it has {', '.join(sorted(columns))}")
    numbers = {str(columns[name].number) for name in source.key}
    if not any(set(row["columns"].split()) <= numbers for row in session.fetch(_UNIQUE, oid)):
        raise SourceError(
            f"no unique index of {place} is made of columns of the key {', '.join(source.key)}: rows that it does "
            "not tell apart would be left out"
        )
    described = PostgresqlTable(f"{quoted_name(found[0]['schema'])}.{quoted_name(table)}", columns)
    unsure = [columns[name] for name in source.key if not columns[name].has_value]
    unknown = " OR ".join(f"{column.raw} IS NULL" for column in unsure)
    if unsure and session.fetch(f"SELECT 1 FROM {described.name} AS t WHERE {unknown} LIMIT 1"):  # noqa: S608  # names in quotes
        raise SourceError(f"{place} has a row without a value in its key {', '.join(source.key)}")
    return described
