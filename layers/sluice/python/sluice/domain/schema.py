"""The declared columns of a table, and the declared tables of a workbook."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ColumnType(StrEnum):
    """What the values of a column are."""

    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"


class ColumnSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One declared column.

    ``width`` is in characters of the default font, 0 for automatic.
    ``format`` is an Excel number format for numbers and dates, and a pair
    such as ``yes/no`` for booleans; empty for the default.
    ``detected`` says that the type was seen in the first rows of a table that
    declares none: then a later value that its cell would show otherwise than it
    was sent stays text, and is counted.
    """

    name: str
    type: ColumnType = ColumnType.STRING
    width: int = 0
    format: str = ""
    detected: bool = False


class TableSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One declared table of a workbook that holds several.

    ``name`` is what batches call it, exactly; the worksheet has the closest
    legal name. No two tables of a task have the same.
    """

    name: str
    columns: tuple[ColumnSpec, ...]
