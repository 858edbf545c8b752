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
"""What becomes of a row depends on that row alone."""

Function: TypeAlias = Literal["count", "sum", "min", "max", "avg"]
"""What is made of the values of several rows that are not null; null of none of them, but for ``count``."""


class Aggregate(msgspec.Struct, frozen=True):
    """A column that is made of the rows of a group."""

    name: str
    function: Function
    column: str = ""
    """Of the rows; empty where rows are counted."""


class AggregateStep(msgspec.Struct, frozen=True, tag="aggregate", tag_field="step"):
    """Makes one row of all rows with equal values of ``by``; null is equal to null."""

    by: tuple[str, ...]
    take: tuple[Aggregate, ...]


class DeduplicateStep(msgspec.Struct, frozen=True, tag="deduplicate", tag_field="step"):
    """Keeps one of all rows with equal values of ``by``: that with the least, or largest, of ``order``."""

    by: tuple[str, ...]
    order: str = ""
    """Empty: rows that are alike are taken for each other."""
    keep: Literal["first", "last"] = "first"


GatherStep: TypeAlias = AggregateStep | DeduplicateStep
"""Needs all rows of a run: each split gives a partial result, and these are merged."""


class GatheredSteps(msgspec.Struct, frozen=True):
    """The steps of a job of which one needs all rows."""

    before: tuple[Step, ...]
    """For the rows of each split."""
    gather: GatherStep | None
    behind: tuple[Step, ...] = ()
    """For the rows that it gives."""
