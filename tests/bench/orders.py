"""The order table in any number of columns: what every subject of the benchmarks writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sluice.demo.order_table import BATCH_ROWS, COLUMNS, order_columns
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch

WIDTH = len(COLUMNS)
SHIFT = 1_000_003
"""How many rows on the next ten columns start, so that no cell of a row repeats its neighbour's text."""


class Orders(NamedTuple):
    """A table of ``rows`` rows: the order table's columns, again and again up to ``columns``."""

    rows: int
    columns: int = WIDTH

    @property
    def specs(self) -> tuple[ColumnSpec, ...]:
        rounds = -(-self.columns // WIDTH)
        named = [
            ColumnSpec(f"{spec.name}_{turn}" if turn else spec.name, spec.type, format=spec.format)
            for turn in range(rounds)
            for spec in COLUMNS
        ]
        return tuple(named[: self.columns])

    @property
    def names(self) -> list[str]:
        return [spec.name for spec in self.specs]

    def cut(self) -> Iterator[list[list[str]]]:
        """The table in batches, each column by column."""
        for first in range(0, self.rows, BATCH_ROWS):
            end = min(first + BATCH_ROWS, self.rows)
            wide: list[list[str]] = []
            while len(wide) < self.columns:
                shift = len(wide) // WIDTH * SHIFT
                wide += order_columns(first + shift, end + shift)
            yield wide[: self.columns]

    def batches(self) -> Iterator[Batch]:
        for columns in self.cut():
            yield Batch.of_columns(columns, len(columns[0]))

    def texts(self) -> list[tuple[str, ...]]:
        return [row for columns in self.cut() for row in zip(*columns, strict=True)]

    def typed(self) -> list[tuple[Any, ...]]:
        """The rows with the cell types that ours writes."""
        kinds = [_PYTHON[spec.type] for spec in self.specs]
        return [
            row
            for columns in self.cut()
            for row in zip(*(map(kind, column) for kind, column in zip(kinds, columns, strict=True)), strict=True)
        ]


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


_PYTHON: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.STRING: str,
    ColumnType.NUMBER: _number,
    ColumnType.DATETIME: datetime.fromisoformat,
    ColumnType.BOOLEAN: "true".__eq__,
}
