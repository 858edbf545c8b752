"""Applies stored steps to the rows of a batch; rows with values that a step cannot take come out with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from decimal import localcontext
from itertools import compress
from typing import Any, NamedTuple, Protocol

from sluice.domain.expression import Call, ColumnValue, Constant, Expression
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.step import FilterStep, MapStep, RowRule, Step, ValidateStep
from sluice.tables.expressions.compiling import Compiled, compile_condition, compile_texts
from sluice.tables.expressions.emitter import FindKey
from sluice.tables.expressions.faults import FAULTS, Unfit, reason_of
from sluice.tables.expressions.reading import Read, Values, reader_of
from sluice.tables.expressions.text_functions import EXACT

Texts = Sequence[str | None]
_COSTLY = {"number", "date", "datetime"}
"""Kinds whose texts take time to read."""


class RowFault(NamedTuple):
    """A row that goes no further."""

    row: int
    """Its index in the batch that came in, from 0 on."""
    column: str
    """The column that was read or made; empty where it is a condition or a rule."""
    reason: str
    """In words; quotes no value."""


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


class Processor(Protocol):
    """Steps that are ready to run over batches of certain columns."""

    def output(self) -> Sequence[ColumnSpec]:
        """The columns that come out."""

    def apply(self, columns: Sequence[Texts], rows: int) -> Applied:
        """Run over a batch; what becomes of a row depends on that row alone. Safe to use from any thread."""


class _State:
    """The rows of a batch between two steps."""

    def __init__(self, columns: Sequence[Texts], origin: Sequence[int]) -> None:
        self.rows = len(origin)
        self.counts = _Counts()
        self._origin, self._origin_kept = origin, 0
        self._flags: list[Sequence[bool | None]] = []
        """Which rows were kept, once for each time that some were not."""
        self.set(columns)

    def set(self, columns: Sequence[Texts]) -> None:
        """Take these for the columns."""
        self._columns = list(columns)
        self._values: dict[int, Values] = {}
        self._kept = [len(self._flags)] * len(columns)
        """How many of the flags each column has gone through: one that no step asks for goes through none."""

    def column(self, at: int) -> Texts:
        """The texts of the rows that are left."""
        for flags in self._flags[self._kept[at] :]:
            self._columns[at] = list(compress(self._columns[at], flags))
        self._kept[at] = len(self._flags)
        return self._columns[at]

    def origin(self) -> Sequence[int]:
        """The index of each row in the batch that came in."""
        for flags in self._flags[self._origin_kept :]:
            self._origin = list(compress(self._origin, flags))
        self._origin_kept = len(self._flags)
        return self._origin

    def columns(self) -> list[Texts]:
        return [self.column(at) for at in range(len(self._columns))]

    def values(self, at: int, read: Read) -> Values:
        """The column as values, read once."""
        if at not in self._values:
            self._values[at] = read(self.column(at))
        return self._values[at]

    def keep(self, flags: list[bool | None]) -> None:
        """Keep the rows that are flagged as true."""
        rows = flags.count(True)
        if rows == self.rows:
            return
        self.rows = rows
        self._flags.append(flags)
        self._values = {at: list(compress(values, flags)) for at, values in self._values.items()}


class _Counts:
    """What is counted on the way."""

    def __init__(self) -> None:
        self.filtered = 0
        self.diverted: list[RowFault] = []
        self.refused: RowFault | None = None
        self.warnings: Counter[str] = Counter()


class _Run:
    """A compiled expression over columns of the rows."""

    def __init__(self, compiled: Compiled, column: str, table: _TableView) -> None:
        self._compiled = compiled
        self._column = column
        self._reads = [(at, table.names[at], table.readers[at]) for at in map(table.index, compiled.names)]

    def __call__(self, state: _State) -> list[Any]:
        """A value for each row. Raises ``Unfit`` with the column where one cannot be read or made."""
        values = []
        for at, name, read in self._reads:
            try:
                values.append(state.values(at, read))
            except FAULTS as fault:
                raise _located(fault, name) from fault
        try:
            return self._compiled.run(*values, state.rows)
        except FAULTS as fault:
            raise _located(fault, self._column) from fault


def _located(fault: BaseException, column: str) -> Unfit:
    located = Unfit(reason_of(fault))
    located.column = column
    return located


class _TableView:
    """The columns that a step finds."""

    def __init__(self, specs: Sequence[ColumnSpec], zone: tzinfo) -> None:
        self.specs = tuple(specs)
        self.names = [spec.name for spec in specs]
        self._places = {name: at for at, name in enumerate(self.names)}
        self.readers: list[Read] = [
            reader_of(spec.type.value, boolean_format=spec.format if spec.type is ColumnType.BOOLEAN else "", zone=zone)
            for spec in specs
        ]

    def index(self, name: str) -> int:
        return self._places[name]


Apply = Callable[[_State], None]


class RowSteps:
    """The processor of steps one behind the other."""

    def __init__(
        self, steps: Sequence[Step], columns: Sequence[ColumnSpec], find_key: FindKey, *, zone: tzinfo = UTC
    ) -> None:
        """Compile ``steps`` for batches of ``columns``.

        ``find_key`` gives the keys of hashes by name, and is called here; ``zone`` is where a date with an offset is
        taken to. Raises what ``find_key`` raises, and KeyError for steps of other columns.
        """
        table = _TableView(columns, zone)
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
        self._output = table.specs

    def output(self) -> Sequence[ColumnSpec]:
        """The columns that come out."""
        return self._output

    def apply(self, columns: Sequence[Texts], rows: int) -> Applied:
        """Run over a batch; what becomes of a row depends on that row alone. Safe to use from any thread."""
        counts = _Counts()
        parts: list[Sequence[Texts]] = []
        with localcontext(EXACT):
            self._apply(columns, range(rows), counts, parts)
        made: Sequence[Texts] = (
            parts[0]
            if len(parts) == 1
            else [[text for part in parts for text in part[at]] for at in range(len(self._output))]
        )
        counts.diverted.sort()
        kept = rows - counts.filtered - len(counts.diverted)
        return Applied(made, kept, counts.filtered, counts.diverted, counts.refused, counts.warnings)

    def _apply(
        self, columns: Sequence[Texts], origin: Sequence[int], counts: _Counts, parts: list[Sequence[Texts]]
    ) -> None:
        """All rows at once; where one cannot be taken, half of them and then the others, down to that row."""
        state = _State(columns, origin)
        try:
            for apply in self._applies:
                apply(state)
        except Unfit as fault:
            if len(origin) == 1:
                counts.diverted.append(RowFault(origin[0], fault.column, fault.reason))
                return
            half = len(origin) // 2
            self._apply([column[:half] for column in columns], origin[:half], counts, parts)
            self._apply([column[half:] for column in columns], origin[half:], counts, parts)
            return
        counts.filtered += state.counts.filtered
        counts.diverted += state.counts.diverted
        counts.warnings += state.counts.warnings
        counts.refused = counts.refused or state.counts.refused
        parts.append(state.columns())


def _filter(step: FilterStep, table: _TableView, find_key: FindKey, zone: tzinfo) -> Apply:
    runs = [_Run(compile_condition(stage, find_key, zone), "", table) for stage in _stages(step.condition)]

    def apply(state: _State) -> None:
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


def _map(step: MapStep, table: _TableView, find_key: FindKey, zone: tzinfo) -> tuple[Apply, _TableView]:
    """The new columns; one that is a column as it was is that very list."""
    makers = [_maker(column.value, column.name, table, find_key, zone) for column in step.columns]
    specs = [_spec(column.name, column.value, table) for column in step.columns]

    def apply(state: _State) -> None:
        state.set([make(state) for make in makers])

    return apply, _TableView(specs, zone)


def _maker(
    value: Expression, name: str, table: _TableView, find_key: FindKey, zone: tzinfo
) -> Callable[[_State], Texts]:
    if isinstance(value, ColumnValue):
        at = table.index(value.name)
        return lambda state: state.column(at)
    if isinstance(value, Constant):
        return lambda state: [value.text] * state.rows
    return _Run(compile_texts(value, find_key, zone), name, table)


def _spec(name: str, value: Expression, table: _TableView) -> ColumnSpec:
    if isinstance(value, ColumnValue):
        found = table.specs[table.index(value.name)]
        return ColumnSpec(name, found.type, width=found.width, format=found.format)
    return ColumnSpec(name, ColumnType(value.kind))


def _validate(step: ValidateStep, table: _TableView, find_key: FindKey, zone: tzinfo) -> Apply:
    rules = [
        (rule, _Run(compile_condition(rule.condition, find_key, zone, broken=True), "", table)) for rule in step.rules
    ]

    def apply(state: _State) -> None:
        for rule, run in rules:
            broken = run(state)
            if any(broken):
                _break(rule, broken, state)

    return apply


def _break(rule: RowRule, broken: Sequence[object], state: _State) -> None:
    rows = list(compress(state.origin(), broken))
    if rule.severity == "warn":
        state.counts.warnings[rule.reason] += len(rows)
        return
    faults = [RowFault(row, "", rule.reason) for row in rows]
    state.counts.diverted += faults
    if rule.severity == "fail" and state.counts.refused is None:
        state.counts.refused = faults[0]
    state.keep([not one for one in broken])
