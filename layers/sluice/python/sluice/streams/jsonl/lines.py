"""Puts the members of a table's columns together as the lines of one file."""

from __future__ import annotations

from itertools import chain

from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.table import Table, Tally
from sluice.streams.jsonl.columns import Frame, column_renderer
from sluice.streams.jsonl.text import escape_text


def frames(columns: tuple[ColumnSpec, ...]) -> list[Frame]:
    """What stands around the values of each column: the first opens the object, the last ends the line."""
    last = len(columns) - 1
    return [
        Frame(
            b'%b"%b":' % (b"," if index else b"{", escape_text(column.name)),
            b"" if index < last else b"}\n",
        )
        for index, column in enumerate(columns)
    ]


class JsonLines:
    """Writes slices of a table as lines, one object each, its keys in the order of the columns."""

    def __init__(self, table: Table, tally: Tally) -> None:
        framed = zip(table.columns, frames(table.columns), strict=True)
        self._renderers = [column_renderer(column, frame, table, tally) for column, frame in framed]

    def write(self, rows: Batch, first_row: int) -> bytes:
        """Write a slice of at least one row; ``first_row`` is its index in the table."""
        columns = zip(self._renderers, rows.columns, strict=True)
        members = [render(cells, rows.rows, first_row) for render, cells in columns]
        return b"".join(chain.from_iterable(zip(*members, strict=True)))
