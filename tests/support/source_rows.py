"""The rows that a source gives, and texts that would end a query that was put together of them."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.domain.pulled import Cursor, decode_cursor, encode_cursor
from sluice.ports.source import Slice, Source

EVIL_TEXTS = [
    "A' OR '1'='1",
    "A'; DROP TABLE t; --",
    "\\",
    "\\'",
    "'",
    "''",
    '"',
    "%s%(a)s%",
    "$1",
    ":a ?",
    "\\x41",
    "\x1a\x08",
    "/*! 1 */",
    "A\n--",
    "E'A'",
    "$$A$$",
    "\ufeff",
    "\uff07",
    "¿'",
    "縗\\",
]


def stored(cursor: Cursor | None) -> Cursor | None:
    """As it is read back."""
    return None if cursor is None else decode_cursor(encode_cursor(cursor))


def slices_of(source: Source, after: Cursor | None = None, until: Cursor | None = None) -> list[Slice]:
    """The slices from one cursor to another, both stored and read back, as a reader that takes over has them."""
    with source.reading(stored(after), stored(until)) as slices:
        return list(slices)


def rows_of(slices: Sequence[Slice]) -> list[tuple[str | None, ...]]:
    assert all({len(values) for values in part.columns} == {part.rows} for part in slices)
    return [row for part in slices for row in zip(*part.columns, strict=True)]
