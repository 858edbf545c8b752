"""Rows as they are read become rows as they are stored: steps are taken, and what a filter leaves is gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.pulled import Cursor, Pulled
from sluice.domain.schema import ColumnSpec
from sluice.domain.secret import Secret
from sluice.ports.pool import nothing
from sluice.ports.source import Slice
from sluice.tables.processors.row_state import RowFault
from sluice.tables.processors.row_steps import RowSteps
from sluice.tables.values.masks import find_masks, masked

GATHERED_ROWS = 4_000
"""Rows that a filter leaves are gathered until there are so many, or for ``GATHERED_S``."""
GATHERED_S = 10.0
Texts = Sequence[str | None]


class Portion(NamedTuple):
    """Rows that are stored as one batch."""

    columns: Sequence[Texts]
    rows: int
    """May be none: all that were read since the portion before were left out."""
    cursor: Cursor
    """Behind the last row that was read for it."""
    filtered: int
    """Rows that were read for it and left out."""


class RowProcess:
    """What is done to the rows of a task between its source and its batches."""

    def __init__(self, pulled: Pulled, find_key: Callable[[str], Secret], monotonic: Callable[[], float]) -> None:
        """Raises ``SourceError`` for a key that is not there."""
        self._masks = find_masks(pulled.masks, find_key)
        self._steps = None
        if pulled.steps:
            columns = [ColumnSpec(name, kind) for name, kind in zip(pulled.columns, pulled.kinds, strict=True)]
            self._steps = RowSteps(pulled.steps, columns, find_key)
        self._monotonic = monotonic

    def portions(
        self, slices: Iterator[Slice], rows_before: int, *, on_gather: Callable[[], object] = nothing
    ) -> Iterator[Portion]:
        """The rows of a reading. ``rows_before`` rows of the source were read before it.

        Calls ``on_gather`` wherever it has read rows and none are to be stored yet. Raises ROW_REFUSED for a row that
        a step cannot take.
        """
        if self._steps is None:
            for part in slices:
                yield Portion(masked(part.columns, self._masks), part.rows, part.cursor, 0)
            return
        yield from self._gathered(self._steps, slices, rows_before, on_gather)

    def _gathered(
        self, steps: RowSteps, slices: Iterator[Slice], rows_before: int, on_gather: Callable[[], object]
    ) -> Iterator[Portion]:
        gathered: list[list[str | None]] = [[] for _ in steps.output()]
        rows = filtered = 0
        since = self._monotonic()
        cursor: Cursor | None = None
        for part in slices:
            applied = steps.apply(masked(part.columns, self._masks), part.rows)
            if applied.diverted:
                raise _refused(applied.refused or applied.diverted[0], rows_before)
            rows_before += part.rows
            filtered += applied.filtered
            cursor = part.cursor
            if not rows and applied.rows >= GATHERED_ROWS:
                yield Portion(applied.columns, applied.rows, cursor, filtered)
            else:
                rows += applied.rows
                for index, more in enumerate(applied.columns):
                    gathered[index] += more
                if rows < GATHERED_ROWS and self._monotonic() - since < GATHERED_S:
                    on_gather()
                    continue
                yield Portion(gathered, rows, cursor, filtered)
                gathered, rows = [[] for _ in gathered], 0
            filtered, since = 0, self._monotonic()
        if cursor is not None and (rows or filtered):
            yield Portion(gathered, rows, cursor, filtered)


def _refused(fault: RowFault, rows_before: int) -> SluiceError:
    place = {"column": fault.column} if fault.column else {}
    detail = f"A row cannot be made what the steps say: {fault.reason}."
    return SluiceError(ErrorCode.ROW_REFUSED, detail, row=rows_before + fault.row + 1, **place)
