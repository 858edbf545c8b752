"""Ranges of dates as SQL of PostgreSQL."""

from __future__ import annotations

from sluice.adapters.databases.postgresql_literals import literal
from sluice.adapters.databases.typed_values import Bound, texts_within
from sluice.adapters.sources.postgresql_catalog import PostgresqlColumn
from sluice.domain.pulled import Condition

POINTS = "timestamp with time zone"
MOMENTS = frozenset({POINTS, "timestamp without time zone", "date"})


def range_of(column: PostgresqlColumn, condition: Condition, bound: Bound) -> str:
    """The rows at or behind, or before ``bound``, of a column of texts or of one of ``MOMENTS``.

    A day begins when the clock of the connection's zone first shows it, also where that is put back over midnight.
    """
    if column.is_text:
        replaced = f"replace({column.raw}::text, 'T', ' ') COLLATE \"C\""
        return texts_within(column.ordered, replaced, condition, bound, literal)
    said = literal(bound.local + bound.zone)
    if column.type != POINTS:
        # A moment is not cut to its day.
        return f"{column.raw} {condition.test} {said}::{'timestamp' if bound.time else column.type}"
    if bound.zone:
        return f"{column.raw} {condition.test} {said}::timestamptz"
    around = f"generate_series({said}::timestamptz - interval '3 hours', {said}::timestamptz, interval '15 minutes')"
    return f"{column.raw} {condition.test} (SELECT min(m) FROM {around} AS m WHERE m::timestamp >= {said}::timestamp)"  # noqa: S608  # values in quotes
