"""Adds columns of a small table to rows that have its key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from itertools import repeat
from typing import Any, NamedTuple, NoReturn, TypeAlias

import msgspec

from sluice.domain.schema import ColumnSpec
from sluice.domain.step import EnrichStep
from sluice.tables.expressions.faults import FAULTS, reason_of
from sluice.tables.processors.row_state import Apply, RowFault, RowState, TableView, Texts, located_fault

LOOKUP_ROWS_MAX = 200_000
LOOKUP_CHARS_MAX = 32 * 1024 * 1024
_MISSING = -1
"""The row of a lookup that is none: behind the last one stands null."""


class InvalidLookup(Exception):
    """A table cannot be looked up in. Its text is for an operator, and quotes no value."""


class Lookup(NamedTuple):
    """A table as it is looked up in."""

    columns: Sequence[ColumnSpec]
    values: Sequence[Texts]
    """Of each column."""
    rows: int


FindLookup: TypeAlias = Callable[[str], Lookup]
"""Gives the table of a name."""


def no_lookups(name: str) -> NoReturn:
    """Where there are none."""
    raise InvalidLookup(f"there is no lookup {name} here")


def enrich(step: EnrichStep, table: TableView, lookup: Lookup, zone: tzinfo) -> tuple[Apply, TableView]:
    """A step that adds columns of ``lookup``, and the columns that there are behind it. Raises ``InvalidLookup``."""
    view = TableView(lookup.columns, zone)
    index = _index(step, lookup, view)
    keys = [(table.index(name), name) for name, _ in step.by]
    taken = [[*lookup.values[view.index(theirs)], None] for _, theirs in step.take]
    added = [msgspec.structs.replace(lookup.columns[view.index(theirs)], name=name) for name, theirs in step.take]

    def apply(state: RowState) -> None:
        values = []
        for at, name in keys:
            try:
                values.append(state.values(at, table.readers[at]))
            except FAULTS as fault:
                raise located_fault(fault, name) from fault
        wanted = values[0] if len(values) == 1 else zip(*values, strict=True)
        found = list(map(index.get, wanted, repeat(_MISSING)))
        if step.missing != "null" and _MISSING in found:
            _without_missing(step, state, [at != _MISSING for at in found])
            found = [at for at in found if at != _MISSING]
        state.add([list(map(texts.__getitem__, found)) for texts in taken])

    return apply, TableView([*table.specs, *added], zone)


def _without_missing(step: EnrichStep, state: RowState, flags: list[bool | None]) -> None:
    """Drop or divert the rows that the lookup does not have."""
    if step.missing == "drop":
        state.counts.filtered += flags.count(False)
    else:
        reason, column = f"is not in the lookup {step.lookup}", step.by[0][0]
        faults = [
            RowFault(row, column, reason) for row, is_there in zip(state.origin(), flags, strict=True) if not is_there
        ]
        state.counts.diverted += faults
        if step.missing == "fail" and state.counts.refused is None:
            state.counts.refused = faults[0]
    state.keep(flags)


def _index(step: EnrichStep, lookup: Lookup, view: TableView) -> dict[Any, int]:
    """The row of each key; rows with a null in it are left out."""
    chars = sum(len(text or "") for texts in lookup.values for text in texts)
    if lookup.rows > LOOKUP_ROWS_MAX or chars > LOOKUP_CHARS_MAX:
        raise InvalidLookup(
            f"the lookup {step.lookup} has more than {LOOKUP_ROWS_MAX:,} rows or {LOOKUP_CHARS_MAX:,} characters: "
            "join it where the rows are read"
        )
    columns = []
    for _, theirs in step.by:
        at = view.index(theirs)
        try:
            columns.append(view.readers[at](lookup.values[at]))
        except FAULTS as fault:
            raise InvalidLookup(f"a value of {theirs} of the lookup {step.lookup} {reason_of(fault)}") from fault
    index: dict[Any, int] = {}
    for row, key in enumerate(columns[0] if len(columns) == 1 else zip(*columns, strict=True)):
        if key is None or (isinstance(key, tuple) and None in key):
            continue
        if index.setdefault(key, row) != row:
            names = ", ".join(theirs for _, theirs in step.by)
            raise InvalidLookup(f"two rows of the lookup {step.lookup} have the same {names}")
    return index
