"""The rows of a batch on their way through steps: columns of texts, what was read of them, which rows are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import tzinfo
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.expressions.compiling import Compiled
from sluice.tables.expressions.faults import FAULTS, Unfit, reason_of
from sluice.tables.expressions.reading import Read, Values, reader_of

PIECE_ROWS = 500
BATCH_CHARS_MAX = 32 * 1024 * 1024
"""Of a column that is made. A stored batch has less room; this bounds memory before it is cut or refused."""
Texts: TypeAlias = Sequence[str | None]
"""Of one column."""


class RowFault(NamedTuple):
    """A row that goes no further."""

    row: int
    """Its index in the batch that came in, from 0 on."""
    column: str
    """The column that was read or made; empty where it is a condition or a rule."""
    reason: str
    """In words; quotes no value."""


class RowState:
    """The rows of a batch between two steps."""

    def __init__(self, columns: Sequence[Texts], origin: Sequence[int]) -> None:
        self.rows = len(origin)
        self.counts = RowCounts()
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
        """All columns of the rows that are left."""
        return [self.column(at) for at in range(len(self._columns))]

    def values(self, at: int, read: Read) -> Values:
        """The column as values, read once."""
        if at not in self._values:
            self._values[at] = read(self.column(at))
        return self._values[at]

    def add(self, columns: Sequence[Texts]) -> None:
        """Put columns of the rows that are left behind the others."""
        self._columns += columns
        self._kept += [len(self._flags)] * len(columns)

    def keep(self, flags: list[bool | None]) -> None:
        """Keep the rows that are flagged as true."""
        rows = flags.count(True)
        if rows == self.rows:
            return
        self.rows = rows
        self._flags.append(flags)
        self._values = {at: list(compress(values, flags)) for at, values in self._values.items()}


class RowCounts:
    """What is counted on the way."""

    def __init__(self) -> None:
        self.filtered = 0
        self.diverted: list[RowFault] = []
        self.refused: RowFault | None = None
        self.warnings: Counter[str] = Counter()


class ColumnRun:
    """A compiled expression over columns of the rows."""

    def __init__(self, compiled: Compiled, column: str, table: TableView, *, grows: bool = False) -> None:
        """``grows``: whether texts may come out longer than they went in."""
        self._compiled = compiled
        self._grows = grows
        self._column = column
        self._reads = [(at, table.names[at], table.readers[at]) for at in map(table.index, compiled.names)]

    def __call__(self, state: RowState) -> list[Any]:
        """A value for each row.

        Raises ``Unfit`` with the column where one cannot be read or made, and BATCH_TOO_LARGE for a column whose texts
        no batch has room for.
        """
        values = []
        for at, name, read in self._reads:
            try:
                values.append(state.values(at, read))
            except FAULTS as fault:
                raise located_fault(fault, name) from fault
        try:
            if self._grows and state.rows > PIECE_ROWS:
                return self._in_pieces(values, state.rows)
            return self._compiled.run(*values, state.rows)
        except FAULTS as fault:
            raise located_fault(fault, self._column) from fault

    def _in_pieces(self, columns: Sequence[Values], rows: int) -> list[Any]:
        """As a whole, with a look at what is there already: each text is bounded, and thousands of them are not."""
        made: list[Any] = []
        room = BATCH_CHARS_MAX
        for first in range(0, rows, PIECE_ROWS):
            end = min(first + PIECE_ROWS, rows)
            piece = self._compiled.run(*(values[first:end] for values in columns), end - first)
            room -= sum(map(len, filter(None, piece)))
            if room < 0:
                detail = (
                    "The texts that a column is made of in one batch have more characters than a batch has room for."
                )
                raise SluiceError(ErrorCode.BATCH_TOO_LARGE, detail, column=self._column, chars_max=BATCH_CHARS_MAX)
            made += piece
        return made


def located_fault(fault: BaseException, column: str) -> Unfit:
    """The fault with its column."""
    located = Unfit(reason_of(fault))
    located.column = column
    return located


class TableView:
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
        """The place of a column. Raises KeyError."""
        return self._places[name]

    def read(self, name: str, columns: Sequence[Texts]) -> Values:
        """A column of these as values. Raises ``Unfit`` with its name."""
        at = self.index(name)
        try:
            return self.readers[at](columns[at])
        except FAULTS as fault:
            raise located_fault(fault, name) from fault


Apply: TypeAlias = Callable[[RowState], None]
"""A step that is ready to run. Raises ``Unfit`` where it cannot take a row."""
