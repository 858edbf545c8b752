"""Read a small table whole, to look up in it."""

from __future__ import annotations

from sluice.domain.schema import ColumnSpec
from sluice.ports.bundle import Ports
from sluice.tables.processors.lookups import LOOKUP_CHARS_MAX, LOOKUP_ROWS_MAX, InvalidLookup, Lookup


def read_lookup(ports: Ports, name: str) -> Lookup:
    """The table of a name, as it is now. Raises ``SourceError``, and ``InvalidLookup`` for one that is too large."""
    source = ports.open_lookup(name)
    columns = [ColumnSpec(column.name, column.kind) for column in source.describe()]
    values: list[list[str | None]] = [[] for _ in columns]
    rows = chars = 0
    with source.reading() as slices:
        for part in slices:
            rows += part.rows
            chars += sum(len(text or "") for column in part.columns for text in column)
            if rows > LOOKUP_ROWS_MAX or chars > LOOKUP_CHARS_MAX:
                bound = f"{LOOKUP_ROWS_MAX:,} rows or {LOOKUP_CHARS_MAX:,} characters"
                raise InvalidLookup(f"the lookup {name} has more than {bound}")
            for column, more in zip(values, part.columns, strict=True):
                column.extend(more)
    return Lookup(columns, values, rows)
