"""Rows as JSON Lines: one object per row, in UTF-8, ended by a line feed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.bytes.gzip import gzip_bound, gzipped
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.values.cell_checks import check_declaration, check_names_differ, check_values, keeps_invalid
from sluice.tables.values.slices import SLICE_CELLS, SLICE_CHARS, SLICE_ROWS, chars_of, slice_bytes_max
from sluice.tables.writers.format import Format
from sluice.tables.writers.jsonl.columns import VALUE_EXTRA_BYTES_MAX, Frame, column_renderer, escape_text
from sluice.tables.writers.sealed_rows import sealed_rows

_ESCAPED_BYTES = len("\\u0007")
"""One byte of text becomes at most this many."""
_KEPT_BYTES = 2 * MIB
"""The compressor and the blocks before it."""
_SLICE_COPIES = 3
"""How often a slice is there at once: escaped, as members, as lines."""
_MEMBER_OBJECTS = 64
"""A member's bytes object, its text apart, and its place in a list."""
_COLUMN_OBJECTS = 2 * KIB
"""A column's cells of a batch and of a slice, and what writes them."""


class JsonLinesFormat(Format):
    """One object per row, in UTF-8, ended by a line feed."""

    name = ExportFormat.JSONL

    def extension(self, options: ExportOptions, _rows: int) -> str:
        return "jsonl.gz" if options.compression_enabled else "jsonl"

    def media_type(self, options: ExportOptions, _rows: int) -> str:
        return "application/gzip" if options.compression_enabled else "application/x-ndjson"

    def check_table(self, params: ExportParams, limits: Limits) -> None:
        """Refuse columns that an object cannot have: two of one name, since readers keep one of two equal keys."""
        check_declaration(params, limits)
        check_names_differ(params)

    def check_batch(
        self, batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, limits: Limits
    ) -> None:
        """Refuse values of the wrong type; any text can be written."""
        del limits
        check_values(batch, columns, options)

    def write(self, batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
        """Yield the file in blocks, one for each slice of a batch, as batches come.

        Numbers stand digit for digit; those that a double cannot keep are strings,
        counted. Raises INVALID_VALUE for a value its type does not accept, unless
        it is kept as text; ROW_COUNT_MISMATCH unless exactly ``plan.rows`` rows
        came.
        """
        blocks = _write_plain(batches, plan, tally)
        return gzipped(blocks) if plan.options.compression_enabled else blocks

    def size_bound(self, plan: FilePlan) -> int:
        """Bound the file's bytes by the canonical bytes of its rows."""
        per_row = sum(frame.size + VALUE_EXTRA_BYTES_MAX for frame in frames(plan.columns))
        plain = _ESCAPED_BYTES * plan.size + plan.rows * per_row
        return gzip_bound(plain) if plan.options.compression_enabled else plain

    def memory_bound(self, plan: FilePlan, batch_bytes: int) -> int:
        """Bound the memory of ``write``.

        It has no term for the rows: one slice, where the worst text becomes six
        times as long, and every member its key. A large row is written text by
        text, a large text in pieces, except one that is kept in a column of
        another type.
        """
        keys = sum(frame.size for frame in frames(plan.columns))
        cells = min(SLICE_CELLS, plan.rows * len(plan.columns))
        rows = min(SLICE_ROWS, 1 + cells // len(plan.columns))
        slice_bytes = slice_bytes_max(batch_bytes, growth=_ESCAPED_BYTES) + rows * keys
        if any(keeps_invalid(column, plan.options) for column in plan.columns):
            slice_bytes = max(slice_bytes, _ESCAPED_BYTES * batch_bytes)
        return _KEPT_BYTES + _SLICE_COPIES * slice_bytes + cells * _MEMBER_OBJECTS + len(plan.columns) * _COLUMN_OBJECTS


JSONL = JsonLinesFormat()


def _write_plain(batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
    lines = JsonLines(plan, tally)
    for rows in sealed_rows(batches, plan, tally):
        if rows.rows == 1 and chars_of(rows) > SLICE_CHARS:
            yield from lines.write_one(rows, tally.rows)
        else:
            yield lines.write(rows, tally.rows)
        del rows  # it may be a whole batch


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

    def __init__(self, plan: FilePlan, tally: Tally) -> None:
        self._frames = frames(plan.columns)
        framed = list(zip(plan.columns, self._frames, strict=True))
        self._renderers = [column_renderer(column, frame, plan, tally) for column, frame in framed]
        self._are_texts = [column.type is ColumnType.STRING for column in plan.columns]

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
