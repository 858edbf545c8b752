"""A table of another system that the rows of a sealed task are loaded into."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sluice.domain.dataset import Identifier, Name

Mode: TypeAlias = Literal["append", "replace", "upsert"]
"""Add the rows; make them all that the table has; or add those of new keys, and change the rows of others."""


class TableTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a database server. Its columns are found by the names of the columns that are loaded.

    No secret is in it: how the connection is reached is known where rows are loaded.
    """

    connection: Name
    table: Identifier
    """With its schema, in MySQL its database, before the first dot."""
    mode: Mode = "append"
    key: Annotated[tuple[Identifier, ...], Meta(max_length=16)] = ()
    """Of ``upsert``: the columns that no two rows have alike. The table has a unique index over exactly these."""
    create: Literal["never", "if_missing"] = "never"
    """Whether a table that is not there is made, from the types of the columns that are loaded."""
    schema: Literal["freeze", "evolve"] = "freeze"
    """Whether columns that the table lacks are an error, or added. None is ever removed or made narrower."""

    @property
    def place(self) -> tuple[str | None, str]:
        """The schema, None where the server knows it by itself, and the table in it."""
        schema, dot, table = self.table.partition(".")
        return (schema, table) if dot and schema and table else (None, self.table)


def mistakes_of(target: TableTarget) -> list[tuple[str, str]]:
    """What is wrong with it beyond its form, each as a place and a sentence."""
    found = []
    if target.mode == "upsert" and not target.key:
        found.append(("key", "mode: upsert takes the columns that no two rows have alike"))
    if target.mode != "upsert" and target.key:
        found.append(("key", f"is of no use with mode: {target.mode}"))
    found += [("key", f"{name} is given twice") for name in dict.fromkeys(target.key) if target.key.count(name) > 1]
    return found


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a target says of rows that it has, all of them."""

    rows: int
    """That were loaded."""
    inserted: int | None = None
    """Of ``upsert``: rows of keys that the table did not have. None where the server does not say."""
    updated: int | None = None
