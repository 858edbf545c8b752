"""What an operator defines: where tables are, and which of them may become files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from sluice.domain.schema import ColumnSpec, ColumnType

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Of a connection or a dataset: lower-case letters, digits, - and _."""
Identifier = Annotated[str, Meta(min_length=1, max_length=255)]
"""What a database calls a table or a column; any character, since it is always quoted."""
Columns: TypeAlias = Annotated[tuple["DatasetColumn", ...], Meta(min_length=1, max_length=16_384)]


class DefinitionsError(Exception):
    """Every mistake that was found, a sentence each, with the file and the place in it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the definitions have mistakes:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


class SqliteConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="sqlite"):
    """A file of SQLite on this machine."""

    name: Name
    path: Annotated[str, Meta(min_length=1)]
    """Relative to the folder of the definitions."""


Connection: TypeAlias = SqliteConnection


class TableSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table, and how it is read.

    ``key`` names the columns that no two rows have alike, and none without a value; they give the order.
    ``consistency`` is ``snapshot``, all rows of one moment, or ``key``: rows in the order of their keys, of as many
    moments as it takes, where a row whose key changes meanwhile may be missing or there twice.
    """

    connection: Name
    table: Identifier
    key: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=16)]
    consistency: Literal["snapshot", "key"] = "snapshot"


class DatasetColumn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of the table and what it is in a file; the ``label`` is its header, ``name`` where there is none."""

    name: Identifier
    label: str = ""
    type: ColumnType = ColumnType.STRING
    format: str = ""
    width: Annotated[int, Meta(ge=0)] = 0

    def spec(self) -> ColumnSpec:
        return ColumnSpec(self.label or self.name, self.type, self.width, self.format)


class Dataset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that may become a file, with the columns that it has there."""

    dataset: Name
    source: TableSource
    columns: Columns
