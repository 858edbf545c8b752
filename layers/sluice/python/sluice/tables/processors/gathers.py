"""Steps that need all rows: each split adds its own, and their partial results are merged to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from sluice.domain.expression import Kind
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.step import Aggregate, AggregateStep, DeduplicateStep, GatherStep
from sluice.tables.expressions.faults import Unfit
from sluice.tables.expressions.reading import write_day, write_moment, write_number
from sluice.tables.expressions.text_functions import DIGITS_MAX, divide
from sluice.tables.processors.row_state import TableView, Texts

GROUPS_MAX = 200_000
GROUP_CHARS_MAX = 64 * 1024 * 1024
"""Of the rows that are kept, to tell others from them."""
MERGED_ROWS = 8_000
"""Of a batch that comes out."""
_SUMMING = Context(prec=4 * DIGITS_MAX, Emin=-999, Emax=999, traps=[Inexact, InvalidOperation, Overflow])

Key: TypeAlias = tuple[Any, ...]


class GatherError(Exception):
    """Rows cannot be gathered. Its text quotes no value of a row."""


class TooManyGroups(GatherError):
    """There are more groups, or larger ones, than fit in memory."""

    def __init__(self) -> None:
        super().__init__(
            f"there are more than {GROUPS_MAX:,} groups, or more than {GROUP_CHARS_MAX:,} characters in them: "
            "filter before, or group by fewer columns"
        )


class Gathered(NamedTuple):
    """Rows, column by column."""

    columns: Sequence[Texts]
    rows: int


class Gather(Protocol):
    """All rows of one split, or the partial results of all of them."""

    def output(self) -> Sequence[ColumnSpec]:
        """The columns that ``merge`` gives."""

    def partial_columns(self) -> Sequence[ColumnSpec]:
        """The columns that ``partial`` gives, and ``merge`` takes."""

    def add(self, columns: Sequence[Texts], rows: int) -> None:
        """Take a batch of a split. Raises ``TooManyGroups``, and ``Unfit`` for a value that is none of its column."""

    def partial(self) -> Gathered:
        """What the split gave; the same for the same rows in any order."""

    def merge(self, parts: Iterable[Gathered]) -> Iterator[Gathered]:
        """The rows of all splits, in the order of their keys. Raises as ``add``, and ``GatherError``."""


def make_gather(step: GatherStep, columns: Sequence[ColumnSpec], *, zone: tzinfo = UTC) -> Gather:
    """A new gather of rows with these columns."""
    if isinstance(step, AggregateStep):
        return Groups(step, columns, zone=zone)
    return KeptRows(step, columns, zone=zone)


class Groups:
    """One row for each group."""

    def __init__(self, step: AggregateStep, columns: Sequence[ColumnSpec], *, zone: tzinfo = UTC) -> None:
        self._step, self._zone = step, zone
        self._table = TableView(columns, zone)
        self._keys: set[Key] = set()
        self._chars = 0
        self._states = [_State(part, self._kind_of(one)) for one in step.take for part in _PARTS[one.function]]

    def _kind_of(self, one: Aggregate) -> Kind:
        return self._table.specs[self._table.index(one.column)].type.value if one.column else "number"

    def output(self) -> Sequence[ColumnSpec]:
        made = [
            ColumnSpec(one.name, ColumnType(self._kind_of(one) if one.function in {"min", "max"} else "number"))
            for one in self._step.take
        ]
        return [*self._key_specs(), *made]

    def _key_specs(self) -> list[ColumnSpec]:
        specs = [self._table.specs[self._table.index(name)] for name in self._step.by]
        # Booleans are written in the usual words.
        return [msgspec.structs.replace(one, format="") if one.type is ColumnType.BOOLEAN else one for one in specs]

    def partial_columns(self) -> Sequence[ColumnSpec]:
        states = [ColumnSpec(f"state {at}", ColumnType(state.kind)) for at, state in enumerate(self._states)]
        return [*self._key_specs(), *states]

    def add(self, columns: Sequence[Texts], rows: int) -> None:
        keys = self._read_keys(columns, self._table, self._step.by, rows)
        states = iter(self._states)
        for one in self._step.take:
            values = self._table.read(one.column, columns) if one.column else [True] * rows
            for _ in _PARTS[one.function]:
                next(states).add(keys, values)

    def _read_keys(self, columns: Sequence[Texts], table: TableView, names: Sequence[str], rows: int) -> list[Key]:
        keys = list(zip(*(table.read(name, columns) for name in names), strict=True)) if names else [()] * rows
        new = set(keys) - self._keys
        self._keys |= new
        self._chars += sum(map(_chars, new))
        if len(self._keys) > GROUPS_MAX or self._chars > GROUP_CHARS_MAX:
            raise TooManyGroups
        return keys

    def partial(self) -> Gathered:
        keys = sorted(self._keys, key=_order)
        return Gathered([*self._key_columns(keys), *(state.texts(keys) for state in self._states)], len(keys))

    def _key_columns(self, keys: Sequence[Key]) -> list[Texts]:
        kinds: list[Kind] = [spec.type.value for spec in self._key_specs()]
        return [[_key_text(key[at], kind) for key in keys] for at, kind in enumerate(kinds)]

    def merge(self, parts: Iterable[Gathered]) -> Iterator[Gathered]:
        table = TableView(self.partial_columns(), self._zone)
        for part in parts:
            keys = self._read_keys(part.columns, table, [spec.name for spec in self._key_specs()], part.rows)
            for at, state in enumerate(self._states):
                state.merge(keys, table.read(f"state {at}", part.columns))
        if not self._step.by and not self._keys:
            self._keys.add(())  # of no rows there is one group: it counts none
        ordered = sorted(self._keys, key=_order)
        for first in range(0, len(ordered), MERGED_ROWS):
            keys = ordered[first : first + MERGED_ROWS]
            states = iter(self._states)
            made = [self._made(one, [next(states) for _ in _PARTS[one.function]], keys) for one in self._step.take]
            yield Gathered([*self._key_columns(keys), *made], len(keys))

    def _made(self, one: Aggregate, states: Sequence[_State], keys: Sequence[Key]) -> Texts:
        if one.function == "avg":
            sums, counts = (state.values for state in states)
            texts: Texts = [_number_text(_mean(sums[key], counts[key])) if key in sums else None for key in keys]
        else:
            texts = states[0].texts(keys)
        if any(text and sum(map(str.isdigit, text)) > DIGITS_MAX + 1 for text in texts if one.function == "sum"):
            raise GatherError(f"a sum of {one.name} has more than {DIGITS_MAX} digits")
        return texts


_PARTS: dict[str, tuple[str, ...]] = {
    "count": ("count",),
    "sum": ("sum",),
    "min": ("min",),
    "max": ("max",),
    "avg": ("sum", "count"),
}
"""What is kept of a group for each function."""


class _State:
    """One value of each group that has one."""

    def __init__(self, part: str, kind: Kind) -> None:
        self.values: dict[Key, Any] = {}
        self.kind: Kind = "number" if part == "count" else kind
        self._part = part
        takes = {"min": self._least, "max": self._most}
        self._take: Callable[[Sequence[Key], Sequence[Any]], None] = takes.get(part, self._sum)

    def add(self, keys: Sequence[Key], values: Sequence[Any]) -> None:
        """Take values of rows; null is none."""
        if self._part == "count":
            counted = Counter(key for key, value in zip(keys, values, strict=True) if value is not None)
            keys, values = list(counted), list(counted.values())
        self.merge(keys, values)

    def merge(self, keys: Sequence[Key], values: Sequence[Any]) -> None:
        """Take values of groups."""
        try:
            with localcontext(_SUMMING):
                self._take(keys, values)
        except ArithmeticError:
            raise GatherError("a sum has too many digits") from None

    def _sum(self, keys: Sequence[Key], values: Sequence[Any]) -> None:
        sums = self.values
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                sums[key] = sums[key] + value if key in sums else value

    def _least(self, keys: Sequence[Key], values: Sequence[Any]) -> None:
        least = self.values
        for key, value in zip(keys, values, strict=True):
            if value is not None and (key not in least or _is_less(value, least[key])):
                least[key] = value

    def _most(self, keys: Sequence[Key], values: Sequence[Any]) -> None:
        most = self.values
        for key, value in zip(keys, values, strict=True):
            if value is not None and (key not in most or _is_less(most[key], value)):
                most[key] = value

    def texts(self, keys: Sequence[Key]) -> Texts:
        """The texts of these groups."""
        if self._part == "count":
            return [str(self.values.get(key, 0)) for key in keys]
        return [_written(self.values.get(key), self.kind) for key in keys]


class KeptRows:
    """One row of all that have the same key."""

    def __init__(self, step: DeduplicateStep, columns: Sequence[ColumnSpec], *, zone: tzinfo = UTC) -> None:
        self._step = step
        self._table = TableView(columns, zone)
        self._rows: dict[Key, tuple[Any, tuple[str | None, ...]]] = {}
        self._chars = 0

    def output(self) -> Sequence[ColumnSpec]:
        return self._table.specs

    def partial_columns(self) -> Sequence[ColumnSpec]:
        return self._table.specs

    def add(self, columns: Sequence[Texts], rows: int) -> None:
        keys = zip(*(self._table.read(name, columns) for name in self._step.by), strict=True)
        orders = self._table.read(self._step.order, columns) if self._step.order else [None] * rows
        for key, order, row in zip(keys, orders, zip(*columns, strict=True), strict=True):
            known = self._rows.get(key)
            if known is None:
                self._chars += sum(len(text or "") for text in row)
                if len(self._rows) >= GROUPS_MAX or self._chars > GROUP_CHARS_MAX:
                    raise TooManyGroups
            if known is None or self._is_before((order, row), known):
                self._rows[key] = order, row

    def _is_before(self, one: tuple[Any, Texts], other: tuple[Any, Texts]) -> bool:
        """Whether the one row is kept in place of the other. Between equal ones all of their texts decide."""
        if one[0] != other[0] and None not in {one[0], other[0]}:
            is_less: bool = one[0] < other[0]
            return is_less == (self._step.keep == "first")
        if one[0] != other[0]:
            return one[0] is not None
        return _order(tuple(one[1])) < _order(tuple(other[1]))

    def partial(self) -> Gathered:
        ordered = [self._rows[key][1] for key in sorted(self._rows, key=_order)]
        return Gathered(list(zip(*ordered, strict=True)) or [()] * len(self._table.specs), len(ordered))

    def merge(self, parts: Iterable[Gathered]) -> Iterator[Gathered]:
        for part in parts:
            self.add(part.columns, part.rows)
        whole = self.partial()
        for first in range(0, whole.rows, MERGED_ROWS):
            columns = [texts[first : first + MERGED_ROWS] for texts in whole.columns]
            yield Gathered(columns, len(columns[0]))


def _mean(total: Decimal, count: int) -> Decimal:
    try:
        return divide(total, Decimal(count))
    except ArithmeticError:
        raise GatherError("a mean has too many digits") from None


def _chars(key: Key) -> int:
    return sum(len(value) for value in key if isinstance(value, str))


def _order(key: Key) -> tuple[tuple[bool, Any], ...]:
    """In the order of values, null last."""
    return tuple((value is None, 0 if value is None else value) for value in key)


def _is_less(one: Any, other: Any) -> bool:
    """In an order in which no two texts are equal: 1.0 and 1 are one number."""
    return bool(one < other or (one == other and str(one) < str(other)))


def _key_text(value: Any, kind: Kind) -> str | None:
    """Equal values have one text: numbers end in no zeros of a fraction."""
    text = _written(value, kind)
    if kind != "number" or text is None:
        return text
    plain = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if plain == "-0" else plain


def _written(value: Any, kind: Kind) -> str | None:
    if value is None:
        return None
    writers: dict[Kind, Callable[[Any], str]] = {
        "string": str,
        "number": _number_text,
        "boolean": lambda truth: "true" if truth else "false",
        "date": write_day,
        "datetime": write_moment,
    }
    return writers[kind](value)


def _number_text(value: Decimal) -> str:
    try:
        return write_number(value)
    except Unfit as fault:
        raise GatherError(f"a number has too many digits: {fault.reason}") from None
