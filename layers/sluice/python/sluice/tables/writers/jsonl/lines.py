"""Puts the members of a table's columns together as the lines of one file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.jsonl.columns import Frame, column_renderer
from sluice.tables.writers.jsonl.text import escape_text


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

    def __init__(self, table: FilePlan, tally: Tally) -> None:
        self._frames = frames(table.columns)
        framed = list(zip(table.columns, self._frames, strict=True))
        self._renderers = [column_renderer(column, frame, table, tally) for column, frame in framed]
        self._are_texts = [column.type is ColumnType.STRING for column in table.columns]

    def write(self, rows: Batch, first_row: int) -> bytes:
        """Write a slice of at least one row; ``first_row`` is its index in the table."""
        columns = zip(self._renderers, rows.columns, strict=True)
        members = [render(cells, rows.rows, first_row) for render, cells in columns]
        return b"".join(chain.from_iterable(zip(*members, strict=True)))

    def write_one(self, row: Batch, index: int) -> Iterator[bytes]:
        """Write a slice of one row, which may be as large as a batch, member by member."""
        for render, frame, is_text, cells in zip(
            self._renderers, self._frames, self._are_texts, row.columns, strict=True
        ):
            if is_text and not cells.nulls:
                yield from frame.pieces(cells.texts(1)[0])
            else:
                yield render(cells, 1, index)[0]
