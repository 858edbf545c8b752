"""Reads the steps that need all rows, as a user writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluice.domain.expression import Call, ColumnValue, Expression
from sluice.domain.schema import ColumnType
from sluice.domain.step import (
    Aggregate,
    AggregateStep,
    DeduplicateStep,
    Function,
    GatherStep,
    MappedColumn,
    MapStep,
    RowRule,
    Step,
    ValidateStep,
)
from sluice.domain.suggestion import did_you_mean

_FUNCTIONS: Mapping[str, Function] = {"count": "count", "sum": "sum", "min": "min", "max": "max", "avg": "avg"}
_CALL = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)
_AGGREGATE, _DEDUPLICATE = {"by", "take"}, {"by", "first", "last"}
Parse = Callable[[str, str], Expression | None]
"""Reads an expression at a place; None where it has a mistake, which was noted."""


def read_aggregate(
    where: str, body: object, columns: Mapping[str, ColumnType], parse: Parse, problems: list[str]
) -> tuple[Sequence[Step | GatherStep], dict[str, ColumnType]]:
    """The steps of an ``aggregate``, and the columns behind it; nothing where there is a mistake.

    The first of the steps makes what the second takes, row by row, so that a value at fault costs its row alone.
    """
    before = len(problems)
    if not isinstance(body, Mapping) or not isinstance(body.get("take"), Mapping) or not body["take"]:
        problems.append(f"{where}: has by and take, as {{by: [city], take: {{orders: count(*), total: sum(amount)}}}}")
        return (), {}
    _check_names(where, body, _AGGREGATE, problems)
    by = _names(f"{where}.by", body.get("by", []), columns, problems)
    mapped = [MappedColumn(name, _checked(name, columns[name])) for name in by if name in columns]
    taken, kinds = [], {name: columns[name] for name in by if name in columns}
    for at, (name, text) in enumerate(body["take"].items()):
        if name in kinds:
            problems.append(f"{where}.take.{name}: there is a column {name!r} already")
            continue
        one, value = _aggregate(f"{where}.take.{name}", str(name), str(text), f"value {at}", parse, problems)
        is_kept = value is not None and one is not None and one.function in {"min", "max"}
        kinds[str(name)] = ColumnType(value.kind) if value is not None and is_kept else ColumnType.NUMBER
        if one is not None:
            taken.append(one)
            mapped += [MappedColumn(one.column, value)] if value is not None else []
    if len(problems) > before:
        return (), kinds
    return (MapStep(tuple(mapped)), AggregateStep(tuple(by), tuple(taken))), kinds


def _aggregate(
    where: str, name: str, text: str, column: str, parse: Parse, problems: list[str]
) -> tuple[Aggregate | None, Expression | None]:
    found = _CALL.fullmatch(text)
    function = _FUNCTIONS.get(found[1].lower()) if found else None
    if found is None or function is None:
        known = did_you_mean(found[1].lower(), _FUNCTIONS) if found else ""
        names = ", ".join(_FUNCTIONS)
        problems.append(f"{where}: is one of {names}, as sum(amount * qty); calculate with it in a map behind{known}")
        return None, None
    if function == "count" and found[2].strip() == "*":
        return Aggregate(name, function), None
    value = parse(where, found[2])
    if value is None:
        return None, None
    if function in {"sum", "avg"} and value.kind != "number":
        problems.append(f"{where}: {function} takes a number, and this is a {value.kind}")
        return None, None
    if isinstance(value, ColumnValue):
        value = _checked(value.name, ColumnType(value.kind))
    return Aggregate(name, function, column), value


def read_deduplicate(
    where: str, body: object, columns: Mapping[str, ColumnType], problems: list[str]
) -> Sequence[Step | GatherStep]:
    """The steps of a ``deduplicate``; nothing where there is a mistake."""
    before = len(problems)
    if not isinstance(body, Mapping) or "by" not in body or {"first", "last"} <= set(body):
        problems.append(f"{where}: has by, and first or last, as {{by: [order_no], last: updated_at}}")
        return ()
    _check_names(where, body, _DEDUPLICATE, problems)
    by = _names(f"{where}.by", body["by"], columns, problems)
    if not by:
        problems.append(f"{where}.by: is a list of columns")
    keep = "last" if "last" in body else "first"
    order = str(body.get(keep, ""))
    if order and order not in columns:
        problems.append(f"{where}.{keep}: there is no column {order!r}{did_you_mean(order, columns)}")
    if len(problems) > before:
        return ()
    read = [
        name for name in dict.fromkeys([*by, *([order] if order else [])]) if columns[name] is not ColumnType.STRING
    ]
    rules = tuple(RowRule(_is_read(name, columns[name]), "divert", "") for name in read)
    step = DeduplicateStep(tuple(by), order, "last" if keep == "last" else "first")
    return (ValidateStep(rules), step) if rules else (step,)


def _checked(name: str, kind: ColumnType) -> Expression:
    """The column as it was read, so that a text that is no value of its kind is a fault of its row."""
    column = ColumnValue(name, kind.value)
    return column if kind is ColumnType.STRING else Call("cast", (column,), column.kind)


def _is_read(name: str, kind: ColumnType) -> Expression:
    """What is never false, and reads the column."""
    is_null = Call("is null", (ColumnValue(name, kind.value),), "boolean")
    return Call("or", (is_null, Call("not", (is_null,), "boolean")), "boolean")


def _names(where: str, names: object, columns: Mapping[str, ColumnType], problems: list[str]) -> list[str]:
    if not isinstance(names, list | tuple):
        problems.append(f"{where}: is a list of columns")
        return []
    missing = [str(name) for name in names if name not in columns]
    problems += [f"{where}: there is no column {name!r}{did_you_mean(name, columns)}" for name in missing]
    return list(dict.fromkeys(map(str, names)))


def _check_names(where: str, body: Mapping[Any, object], known: set[str], problems: list[str]) -> None:
    unknown = [str(name) for name in body if name not in known]
    problems += [f"{where}.{name}: is nothing of it{did_you_mean(name, known)}" for name in unknown]
