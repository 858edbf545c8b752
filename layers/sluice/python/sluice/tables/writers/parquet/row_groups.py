"""Gathers rows into row groups of bounded size, cut at the same rows however the rows arrive."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import isqrt

from sluice.domain.limits import KIB, MIB
from sluice.tables.file_plan import FilePlan
from sluice.tables.writers.parquet.columns import Fields

GROUP_BYTES_MIN = 8 * MIB
"""A row group ends with the row that brings it to this many bytes of fields, or more: see ``group_bytes``."""
GROUP_ROWS = 122_880
"""It has at most this many rows; readers that share the work share it by row groups of about this size."""
CELL_BYTES = 8
"""What a field costs besides its text: its length, its mark, its part of the column's page."""
FOOTER_BYTES = 2 * KIB
"""What the library holds until the end for each column of each row group (measured), its name apart."""
COPIES_MAX = 4
"""How often a row group's bytes are there while it is written: gathered, typed, encoded, in blocks."""


def fields_bytes(plan: FilePlan) -> int:
    """Bound the bytes of all fields of the table."""
    return plan.size + CELL_BYTES * plan.rows * len(plan.columns)


def group_bytes(plan: FilePlan) -> int:
    """Choose the size of row groups: the smallest, or larger where the footer would outgrow a row group.

    Large row groups cost memory once, small ones cost footer. Of both together
    this is the least; it matters for hundreds of columns.
    """
    least = isqrt(FOOTER_BYTES * len(plan.columns) * fields_bytes(plan) // COPIES_MAX)
    return max(GROUP_BYTES_MIN, least)


def memory_bytes_max(plan: FilePlan) -> int:
    """Bound what is in memory of the table while its file is written, one row apart."""
    size = group_bytes(plan)
    groups = 1 + plan.rows // GROUP_ROWS + fields_bytes(plan) // size
    return COPIES_MAX * size + groups * len(plan.columns) * FOOTER_BYTES


@dataclass(slots=True)
class GatheredColumn:
    """The fields of one column, without an object for each."""

    data: bytearray = field(default_factory=bytearray)
    lengths: array[int] = field(default_factory=lambda: array("i"))
    nulls: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class RowGroup:
    """Some rows in a row."""

    columns: list[GatheredColumn]
    rows: int = 0
    size: int = 0


@dataclass(slots=True)
class _Slice:
    """Fields with their lengths."""

    columns: Sequence[Fields]
    lengths: list[list[int]]
    rows: int

    def sizes(self, start: int) -> list[int]:
        """How much each row from ``start`` on adds to a group, the rows before it included."""
        cells = CELL_BYTES * len(self.columns)
        rows = zip(*(lengths[start:] for lengths in self.lengths), strict=True)
        return list(accumulate(sum(row) + cells for row in rows))

    def size(self, start: int) -> int:
        rows = self.rows - start
        return sum(sum(lengths[start:]) for lengths in self.lengths) + CELL_BYTES * rows * len(self.columns)


class RowGroups:
    """Fills one row group after the other.

    A group holds ``bytes_max`` and the rest of one row at most. Where a group
    ends depends on the rows alone, not on the slices they come in.
    """

    def __init__(self, width: int, *, bytes_max: int, rows_max: int = GROUP_ROWS) -> None:
        self._width = width
        self._bytes_max = bytes_max
        self._rows_max = rows_max
        self._group = self._begin()

    def add(self, columns: Sequence[Fields], rows: int) -> Iterator[RowGroup]:
        """Take ``rows`` rows; yield each group that they complete."""
        piece = _Slice(columns, [list(map(len, fields.values)) for fields in columns], rows)
        start = 0
        while start < rows:
            stop = self._take(piece, start)
            if self._group.size >= self._bytes_max or self._group.rows >= self._rows_max:
                group, self._group = self._group, self._begin()
                yield group
            start = stop

    def rest(self) -> Iterator[RowGroup]:
        """Yield the last group, unless it has no rows."""
        if self._group.rows:
            yield self._group
            self._group = self._begin()

    def _begin(self) -> RowGroup:
        return RowGroup([GatheredColumn() for _ in range(self._width)])

    def _take(self, piece: _Slice, start: int) -> int:
        """Move rows from ``start`` on into the group, as far as it goes; returns where that is."""
        group = self._group
        stop, size = piece.rows, piece.size(start)
        if group.size + size > self._bytes_max or group.rows + stop - start > self._rows_max:
            sizes = piece.sizes(start)
            count = min(bisect_left(sizes, self._bytes_max - group.size) + 1, self._rows_max - group.rows, len(sizes))
            stop, size = start + count, sizes[count - 1]
        for gathered, fields, lengths in zip(group.columns, piece.columns, piece.lengths, strict=True):
            gathered.data += b"".join(fields.values[start:stop])
            gathered.lengths.extend(lengths[start:stop])
            gathered.nulls += fields.nulls[start:stop]
        group.rows += stop - start
        group.size += size
        return stop
