"""An expression over the columns of a row, as it is stored: checked, with its types, and read without a parser."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["string", "number", "date", "datetime", "boolean"]
"""What a value is. Each may be null."""

NODES_MAX = 200
"""Columns, constants and calls of one expression together."""
DEPTH_MAX = 32
"""How deep calls stand in calls."""


class ColumnValue(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """The value of a column."""

    name: str
    kind: Kind


class Constant(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """A value that stands in the expression, as its text; None is null."""

    text: str | None
    kind: Kind


class Call(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """A function, or an operator under its name, of other expressions."""

    name: str
    arguments: tuple[Expression, ...]
    kind: Kind
    """Of the result."""


Expression: TypeAlias = ColumnValue | Constant | Call
