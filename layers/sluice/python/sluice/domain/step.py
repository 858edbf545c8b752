"""Steps that change or drop rows one by one, as they are stored: checked, with expressions as trees."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from sluice.domain.expression import Expression

Severity: TypeAlias = Literal["fail", "divert", "warn"]
"""What a row that breaks a rule does: it ends the run, it goes aside with the reason, or it is counted and stays."""


class FilterStep(msgspec.Struct, frozen=True, tag="filter", tag_field="step"):
    """Keeps the rows for which ``condition`` is true; null is not true."""

    condition: Expression


class MappedColumn(msgspec.Struct, frozen=True):
    """A column that a map makes."""

    name: str
    value: Expression


class MapStep(msgspec.Struct, frozen=True, tag="map", tag_field="step"):
    """Makes all columns anew, each from the row as it came in; what is not named is dropped."""

    columns: tuple[MappedColumn, ...]


class RowRule(msgspec.Struct, frozen=True):
    """A rule that rows keep. It is broken where it is false; null breaks none, as in SQL's CHECK."""

    condition: Expression
    severity: Severity
    reason: str
    """What is said of a row that breaks it."""


class ValidateStep(msgspec.Struct, frozen=True, tag="validate", tag_field="step"):
    """Checks each row by rules, in their order."""

    rules: tuple[RowRule, ...]


Missing: TypeAlias = Literal["null", "drop", "divert", "fail"]
"""What becomes of a row that a lookup does not have."""


class EnrichStep(msgspec.Struct, frozen=True, tag="enrich", tag_field="step"):
    """Adds columns of a small table, which is read before the rows are; null is in no lookup."""

    lookup: str
    by: tuple[tuple[str, str], ...]
    """Columns of the rows, and which of the lookup they are."""
    take: tuple[tuple[str, str], ...]
    """New columns, and which of the lookup they are."""
    missing: Missing = "null"


Step: TypeAlias = FilterStep | MapStep | ValidateStep | EnrichStep
