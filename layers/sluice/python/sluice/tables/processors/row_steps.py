"""Applies stored steps to the rows of a batch; rows with values that a step cannot take come out with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from decimal import localcontext
from itertools import compress
from typing import NamedTuple

from sluice.domain.expression import Call, ColumnValue, Constant, Expression
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.step import EnrichStep, FilterStep, MapStep, RowRule, Step, ValidateStep
from sluice.tables.expressions.compiling import compile_condition, compile_texts
from sluice.tables.expressions.emitter import FindKey
from sluice.tables.expressions.faults import Unfit
from sluice.tables.expressions.text_functions import EXACT
from sluice.tables.processors.lookups import FindLookup, enrich, no_lookups
from sluice.tables.processors.row_state import (
    Apply,
    ColumnRun,
    RowCounts,
    RowFault,
    RowState,
    TableView,
    Texts,
)

_GROWING = {"||", "concat", "concat_ws", "replace", "lpad", "rpad", "regexp_replace", "json_object", "json_array"}
"""Functions whose texts may be longer than their arguments."""
_COSTLY = {"number", "date", "datetime"}
"""Kinds whose texts take time to read."""


class Applied(NamedTuple):
    """What steps made of a batch."""

    columns: Sequence[Texts]
    rows: int
    filtered: int
    """Rows that a filter dropped."""
    diverted: Sequence[RowFault]
    """Rows at fault, in their order. Rows in + nothing lost: ``rows`` + ``filtered`` + these."""
    refused: RowFault | None
    """The first row that broke a rule of severity ``fail``; it is among ``diverted``."""
    warnings: Mapping[str, int]
    """How many rows broke each rule of severity ``warn``, by its reason."""
    origin: Sequence[int] = ()
    """The index of each row that came out, in the batch that came in, where it was asked for."""


class RowSteps:
    """The processor of steps one behind the other."""

    def __init__(
        self,
        steps: Sequence[Step],
        columns: Sequence[ColumnSpec],
        find_key: FindKey,
        *,
        find_lookup: FindLookup = no_lookups,
        zone: tzinfo = UTC,
    ) -> None:
        """Compile ``steps`` for batches of ``columns``.

        ``find_key`` gives the keys of hashes by name, ``find_lookup`` the tables of ``enrich``; both are called here.
        ``zone`` is where a date with an offset is taken to. Raises what these raise, ``InvalidLookup``, and KeyError
        for steps of other columns.
        """
        table = TableView(columns, zone)
        self._applies: list[Apply] = []
        for step in steps:
            match step:
                case FilterStep():
                    self._applies.append(_filter(step, table, find_key, zone))
                case MapStep():
                    apply, table = _map(step, table, find_key, zone)
                    self._applies.append(apply)
                case ValidateStep():
                    self._applies.append(_validate(step, table, find_key, zone))
                case EnrichStep():
                    apply, table = enrich(step, table, find_lookup(step.lookup), zone)
                    self._applies.append(apply)
        self._output = table.specs

    def output(self) -> Sequence[ColumnSpec]:
        """The columns that come out."""
        return self._output

    def apply(self, columns: Sequence[Texts], rows: int, *, wants_origin: bool = False) -> Applied:
        """Run over a batch; what becomes of a row depends on that row alone. Safe to use from any thread.

        ``wants_origin``: say of which rows those that come out were made.
        """
        counts = RowCounts()
        parts: list[Sequence[Texts]] = []
        origin: list[int] | None = [] if wants_origin else None
        with localcontext(EXACT):
            self._apply(columns, range(rows), counts, parts, origin)
        made: Sequence[Texts] = (
            parts[0]
            if len(parts) == 1
            else [[text for part in parts for text in part[at]] for at in range(len(self._output))]
        )
        counts.diverted.sort()
        kept = rows - counts.filtered - len(counts.diverted)
        return Applied(made, kept, counts.filtered, counts.diverted, counts.refused, counts.warnings, origin or ())

    def _apply(
        self,
        columns: Sequence[Texts],
        origin: Sequence[int],
        counts: RowCounts,
        parts: list[Sequence[Texts]],
        origins: list[int] | None,
    ) -> None:
        """All rows at once; where one cannot be taken, half of them and then the others, down to that row."""
        state = RowState(columns, origin)
        try:
            for apply in self._applies:
                apply(state)
        except Unfit as fault:
            if len(origin) == 1:
                counts.diverted.append(RowFault(origin[0], fault.column, fault.reason))
                return
            half = len(origin) // 2
            self._apply([column[:half] for column in columns], origin[:half], counts, parts, origins)
            self._apply([column[half:] for column in columns], origin[half:], counts, parts, origins)
            return
        counts.filtered += state.counts.filtered
        counts.diverted += state.counts.diverted
        counts.warnings += state.counts.warnings
        counts.refused = counts.refused or state.counts.refused
        parts.append(state.columns())
        if origins is not None:
            origins += state.origin()


def _filter(step: FilterStep, table: TableView, find_key: FindKey, zone: tzinfo) -> Apply:
    runs = [ColumnRun(compile_condition(stage, find_key, zone), "", table) for stage in _stages(step.condition)]

    def apply(state: RowState) -> None:
        before = state.rows
        for run in runs:
            state.keep(run(state))
        state.counts.filtered += before - state.rows

    return apply


def _stages(condition: Expression) -> list[Expression]:
    """Parts of a condition that are all true, in their order, cut where a part reads columns that cost something.

    Numbers and dates of rows that an earlier part drops are not read.
    """
    if not isinstance(condition, Call) or condition.name != "and":
        return [condition]
    stages: list[list[Expression]] = [[]]
    known: set[str] = set()
    for part in condition.arguments:
        costly = {column.name for column in _columns_of(part) if column.kind in _COSTLY}
        if stages[-1] and costly - known:
            stages.append([])
        stages[-1].append(part)
        known |= costly
    return [parts[0] if len(parts) == 1 else Call("and", tuple(parts), "boolean") for parts in stages]


def _columns_of(tree: Expression) -> Iterator[ColumnValue]:
    match tree:
        case ColumnValue():
            yield tree
        case Call(arguments=arguments):
            for one in arguments:
                yield from _columns_of(one)


def _calls_of(tree: Expression) -> Iterator[Call]:
    if isinstance(tree, Call):
        yield tree
        for one in tree.arguments:
            yield from _calls_of(one)


def _map(step: MapStep, table: TableView, find_key: FindKey, zone: tzinfo) -> tuple[Apply, TableView]:
    """The new columns; one that is a column as it was is that very list."""
    makers = [_maker(column.value, column.name, table, find_key, zone) for column in step.columns]
    specs = [_spec(column.name, column.value, table) for column in step.columns]

    def apply(state: RowState) -> None:
        state.set([make(state) for make in makers])

    return apply, TableView(specs, zone)


def _maker(
    value: Expression, name: str, table: TableView, find_key: FindKey, zone: tzinfo
) -> Callable[[RowState], Texts]:
    if isinstance(value, ColumnValue):
        at = table.index(value.name)
        return lambda state: state.column(at)
    if isinstance(value, Constant):
        return lambda state: [value.text] * state.rows
    grows = any(call.name in _GROWING for call in _calls_of(value))
    return ColumnRun(compile_texts(value, find_key, zone), name, table, grows=grows)


def _spec(name: str, value: Expression, table: TableView) -> ColumnSpec:
    if isinstance(value, ColumnValue):
        found = table.specs[table.index(value.name)]
        return ColumnSpec(name, found.type, width=found.width, format=found.format)
    return ColumnSpec(name, ColumnType(value.kind))


def _validate(step: ValidateStep, table: TableView, find_key: FindKey, zone: tzinfo) -> Apply:
    rules = [
        (rule, ColumnRun(compile_condition(rule.condition, find_key, zone, broken=True), "", table))
        for rule in step.rules
    ]

    def apply(state: RowState) -> None:
        for rule, run in rules:
            broken = run(state)
            if any(broken):
                _break(rule, broken, state)

    return apply


def _break(rule: RowRule, broken: Sequence[object], state: RowState) -> None:
    rows = list(compress(state.origin(), broken))
    if rule.severity == "warn":
        state.counts.warnings[rule.reason] += len(rows)
        return
    faults = [RowFault(row, "", rule.reason) for row in rows]
    state.counts.diverted += faults
    if rule.severity == "fail" and state.counts.refused is None:
        state.counts.refused = faults[0]
    state.keep([not one for one in broken])
