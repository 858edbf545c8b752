"""Rows as they are read become rows as they are stored: steps are taken, refused rows set aside, rests gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.expression import Call, ColumnValue, Expression
from sluice.domain.pulled import Cursor, Pulled
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import Secret
from sluice.domain.step import GatheredSteps, MapStep, Step
from sluice.ports.pool import nothing
from sluice.ports.source import Slice, SourceError
from sluice.tables.expressions.faults import Unfit
from sluice.tables.processors.gathers import Gather, GatherError, TooManyGroups, make_gather
from sluice.tables.processors.lookups import FindLookup, InvalidLookup, no_lookups
from sluice.tables.processors.row_state import RowFault, Texts
from sluice.tables.processors.row_steps import Applied, RowSteps
from sluice.tables.values.masks import find_masks, masked

GATHERED_S = 10.0
"""How long rows that a filter leaves are gathered at most, until there is a batch of them."""
Check = Callable[[Sequence[Texts], int], object]
"""Raises ``SluiceError`` with ``column`` where a value is none of its column's type."""


def no_check(columns: Sequence[Texts], rows: int) -> None:
    """Take any values."""
    del columns, rows


class Portion(NamedTuple):
    """Rows that are stored as one batch."""

    columns: Sequence[Texts]
    rows: int
    """May be none: all that were read since the portion before were left out."""
    cursor: Cursor
    """Behind the last row that was read for it."""
    filtered: int
    """Rows that were read for it and left out."""
    diverted: Sequence[tuple[str | None, ...]] = ()
    """Rows that were read for it and refused, as ``diverted_columns`` has them."""


def diverted_columns(pulled: Pulled) -> tuple[ColumnSpec, ...]:
    """What is kept of a row that was refused: where it is, and why. No value but those of the key."""
    kinds = dict(zip(pulled.columns, pulled.kinds, strict=True))
    keys = [ColumnSpec(f"key {name}", kinds[name]) for name in _shown_keys(pulled)]
    return (ColumnSpec("row", ColumnType.NUMBER), *keys, ColumnSpec("column"), ColumnSpec("reason"))


def _shown_keys(pulled: Pulled) -> list[str]:
    """The columns of the key whose values may be written beside a reason: none that a step masks or hashes."""
    hidden = set(_hidden_by([*pulled.steps, *pulled.behind]))
    return [name for name in pulled.key if name in pulled.columns and name not in hidden]


def _hidden_by(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, MapStep):
            for column in step.columns:
                yield from _masked_in(column.value, is_hidden=False)


def _masked_in(tree: Expression, *, is_hidden: bool) -> Iterator[str]:
    match tree:
        case ColumnValue(name=name) if is_hidden:
            yield name
        case Call(name=name, arguments=arguments):
            for one in arguments:
                yield from _masked_in(one, is_hidden=is_hidden or name in {"mask", "hash"})


class _Gathered:
    """Rows that wait for others to be stored with."""

    def __init__(self, width: int) -> None:
        self.columns: list[list[str | None]] = [[] for _ in range(width)]
        self.rows = 0
        self.chars = 0
        self.filtered = 0
        self.diverted: list[tuple[str | None, ...]] = []

    def add(self, columns: Sequence[Texts], rows: int) -> None:
        self.rows += rows
        for index, more in enumerate(columns):
            self.columns[index] += more
            self.chars += sum(map(len, filter(None, more)))

    def portion(self, cursor: Cursor) -> Portion:
        return Portion(self.columns, self.rows, cursor, self.filtered, self.diverted)


class Stages:
    """The steps of a job that are ready to run: those for each row, one that needs all rows, and those behind it."""

    def __init__(
        self,
        steps: GatheredSteps,
        columns: Sequence[ColumnSpec],
        find_key: Callable[[str], Secret],
        find_lookup: FindLookup,
    ) -> None:
        """Raises ``SourceError`` for a key that is not there, and ``InvalidLookup``."""
        self.before = RowSteps(steps.before, columns, find_key, find_lookup=find_lookup)
        self._last = self.before
        self._make: Callable[[], Gather] | None = None
        self._behind: RowSteps | None = None
        if steps.gather is not None:
            self._make = partial(make_gather, steps.gather, self.before.output())
            columns = self._make().output()
            self._behind = self._last = RowSteps(steps.behind, columns, find_key, find_lookup=find_lookup)

    def output(self) -> Sequence[ColumnSpec]:
        """The columns that come out."""
        return self._last.output()

    def new_gather(self) -> Gather | None:
        """For all rows of a reading; None where no step needs them."""
        return self._make() if self._make else None

    def finished(self, gather: Gather) -> Iterator[Applied]:
        """What becomes of the rows that were gathered. Raises TOO_MANY_GROUPS."""
        assert self._make is not None
        assert self._behind is not None
        with _gather_errors():
            for part in self._make().merge([gather.partial()]):
                yield self._behind.apply(part.columns, part.rows)


@contextmanager
def _gather_errors() -> Iterator[None]:
    try:
        yield
    except TooManyGroups as error:
        raise SluiceError(ErrorCode.TOO_MANY_GROUPS, f"{error}.") from error
    except (GatherError, Unfit) as error:
        raise SluiceError(ErrorCode.ROW_REFUSED, f"Rows cannot be gathered: {error}.") from error


class RowProcess:
    """What is done to the rows of a task between its source and its batches."""

    def __init__(
        self,
        pulled: Pulled,
        find_key: Callable[[str], Secret],
        monotonic: Callable[[], float],
        *,
        check: Check = no_check,
        find_lookup: FindLookup = no_lookups,
    ) -> None:
        """``check`` looks at rows that come out. Raises ``SourceError`` for a key that is not there."""
        self._pulled = pulled
        self._masks = find_masks(pulled.masks, find_key)
        self._stages: Stages | None = None
        if pulled.steps or pulled.gather or pulled.diverts:
            columns = [ColumnSpec(name, kind) for name, kind in zip(pulled.columns, pulled.kinds, strict=True)]
            steps = GatheredSteps(pulled.steps, pulled.gather, pulled.behind)
            try:
                self._stages = Stages(steps, columns, find_key, find_lookup)
            except InvalidLookup as error:
                raise SourceError(str(error)) from error
        self._keys = [pulled.columns.index(name) for name in _shown_keys(pulled)]
        self._monotonic = monotonic
        self._check = check

    def portions(
        self, slices: Iterator[Slice], rows_before: int, *, on_gather: Callable[[], object] = nothing
    ) -> Iterator[Portion]:
        """The rows of a reading. ``rows_before`` rows of the source were read before it.

        Calls ``on_gather`` wherever it has read rows and none are to be stored yet. Raises ROW_REFUSED for a row that
        a step cannot take, unless such rows are diverted.
        """
        if self._stages is None:
            for part in slices:
                yield Portion(masked(part.columns, self._masks), part.rows, part.cursor, 0)
            return
        gather = self._stages.new_gather()
        if gather is not None:
            yield from self._gathered(self._stages, gather, slices, rows_before, on_gather)
            return
        yield from self._stepped(self._stages.before, slices, rows_before, on_gather)

    def _gathered(
        self, stages: Stages, gather: Gather, slices: Iterator[Slice], rows_before: int, on_gather: Callable[[], object]
    ) -> Iterator[Portion]:
        """All rows are looked at before the first is stored. Rows that went into others count as left out."""
        cursor: Cursor | None = None
        read = 0
        diverted: list[tuple[str | None, ...]] = []
        for part in slices:
            columns, rows, _, refused = self._applied(stages.before, part, rows_before, is_last=False)
            with _gather_errors():
                gather.add(columns, rows)
            diverted += refused
            rows_before += part.rows
            read += part.rows
            cursor = part.cursor
            on_gather()
        left = read - len(diverted)
        for applied in stages.finished(gather):
            if applied.diverted:
                fault = applied.refused or applied.diverted[0]
                detail = f"A row that was gathered cannot be made what the steps say: {fault.reason}."
                raise SluiceError(ErrorCode.ROW_REFUSED, detail, **({"column": fault.column} if fault.column else {}))
            yield Portion(applied.columns, applied.rows, cursor or (), -applied.rows, diverted)
            diverted = []
        if cursor is not None:
            yield Portion([[] for _ in stages.output()], 0, cursor, left, diverted)

    def _stepped(
        self, steps: RowSteps, slices: Iterator[Slice], rows_before: int, on_gather: Callable[[], object]
    ) -> Iterator[Portion]:
        width = len(steps.output())
        gathered, since = _Gathered(width), self._monotonic()
        cursor: Cursor | None = None
        for part in slices:
            columns, rows, filtered, diverted = self._applied(steps, part, rows_before)
            rows_before += part.rows
            cursor = part.cursor
            gathered.filtered += filtered
            gathered.diverted += diverted
            if not gathered.rows and rows >= self._pulled.batch_rows:
                yield Portion(columns, rows, cursor, gathered.filtered, gathered.diverted)
            else:
                gathered.add(columns, rows)
                is_small = gathered.rows < self._pulled.batch_rows and gathered.chars < self._pulled.batch_chars
                is_small = is_small and len(gathered.diverted) < self._pulled.batch_rows
                if is_small and self._monotonic() - since < GATHERED_S:
                    on_gather()
                    continue
                yield gathered.portion(cursor)
            gathered, since = _Gathered(width), self._monotonic()
        if cursor is not None and (gathered.rows or gathered.filtered or gathered.diverted):
            yield gathered.portion(cursor)

    def _applied(
        self, steps: RowSteps, part: Slice, rows_before: int, *, is_last: bool = True
    ) -> tuple[Sequence[Texts], int, int, list[tuple[str | None, ...]]]:
        """What a slice becomes: columns, rows, how many were filtered out, and what was refused."""
        diverts = self._pulled.diverts
        applied = steps.apply(masked(part.columns, self._masks), part.rows, wants_origin=diverts)
        faults = list(applied.diverted)
        if applied.refused or (faults and not diverts):
            raise _refused(applied.refused or faults[0], rows_before)
        if not diverts:
            return applied.columns, applied.rows, applied.filtered, []
        columns, rows = applied.columns, applied.rows
        unfit = self._unfit(columns, applied.origin) if is_last else []
        if unfit:
            refused = {fault.row for fault in unfit}
            kept = [index for index, row in enumerate(applied.origin) if row not in refused]
            columns, rows = [[column[index] for index in kept] for column in columns], len(kept)
        made = [self._diverted(part, fault, rows_before) for fault in sorted([*faults, *unfit])]
        return columns, rows, applied.filtered, made

    def _unfit(self, columns: Sequence[Texts], origin: Sequence[int]) -> list[RowFault]:
        """Rows with a value that is none of its column's type: halves are looked at until they are found."""
        if not origin:
            return []
        try:
            self._check(columns, len(origin))
        except SluiceError as error:
            if len(origin) == 1:
                return [RowFault(origin[0], str(error.facts.get("column", "")), error.detail)]
            half = len(origin) // 2
            first = self._unfit([column[:half] for column in columns], origin[:half])
            return first + self._unfit([column[half:] for column in columns], origin[half:])
        return []

    def _diverted(self, part: Slice, fault: RowFault, rows_before: int) -> tuple[str | None, ...]:
        keys = (part.columns[index][fault.row] for index in self._keys)
        return (str(rows_before + fault.row + 1), *keys, fault.column or None, fault.reason)


def _refused(fault: RowFault, rows_before: int) -> SluiceError:
    place = {"column": fault.column} if fault.column else {}
    detail = f"A row cannot be made what the steps say: {fault.reason}."
    return SluiceError(ErrorCode.ROW_REFUSED, detail, row=rows_before + fault.row + 1, **place)
