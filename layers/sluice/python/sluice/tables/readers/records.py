"""Rows as senders write them, turned into the columns of a batch."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch, Cells

NO_CELL = "A cell is a text, a number, a boolean or null."
_TEXT = frozenset({str, type(None)})
_SCALAR = frozenset({str, int, bool, type(None)})
KEYS_SHOWN_MAX, KEY_CHARS_MAX = 10, 64
"""How much of unknown names an error repeats."""


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """What rows must look like to be rows of a task."""

    columns: tuple[ColumnSpec, ...]
    rows_max: int
    cells_max: int = sys.maxsize
    """Cells of all rows of a batch: each takes a byte of its chunk, at least."""
    null_value: str | None = None
    """In input that has no null of its own, the text that means null."""
    sheet: int = 0
    """Index of the declared table they belong to."""
    sheet_name: str = ""
    """What their sender calls it; empty in a task of one table."""
    leaves_others: bool = False
    """Whether an object may have names that are no columns, which are left out."""

    @classmethod
    def of(cls, params: ExportParams, sheet_name: str, limits: Limits) -> RowShape:
        """The shape of a batch that names ``sheet_name``. Raises INVALID_REQUEST if the task has no such sheet."""
        sheet = params.find_sheet(sheet_name)
        columns = params.tables[sheet].columns
        return cls(
            columns=columns,
            rows_max=limits.batch_rows_max,
            cells_max=limits.batch_bytes_max,
            null_value=params.options.null_value,
            sheet=sheet,
            sheet_name=sheet_name,
        )

    @classmethod
    def of_names(cls, names: tuple[str, ...], null_value: str | None, limits: Limits) -> RowShape:
        """The shape of the rows of a table whose types are not known yet: it does not depend on them."""
        return cls(
            columns=tuple(map(ColumnSpec, names)),
            rows_max=limits.batch_rows_max,
            cells_max=limits.batch_bytes_max,
            null_value=null_value,
        )

    def leaving_others(self) -> RowShape:
        """The same, for objects that have more than is read of them."""
        return replace(self, leaves_others=True)

    @property
    def width(self) -> int:
        return len(self.columns)

    def check_cells(self, cells: int) -> None:
        """Raise BATCH_TOO_LARGE for more cells than any batch can have."""
        if cells > self.cells_max:
            raise SluiceError(ErrorCode.BATCH_TOO_LARGE, "The batch has too many cells.", cells_max=self.cells_max)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def names_size(self) -> int:
        """UTF-8 bytes of all names."""
        return len("".join(self.names).encode("utf-8", "surrogatepass"))

    @cached_property
    def name_set(self) -> frozenset[str]:
        return frozenset(self.names)


MISSING_MAX = 2_000_000
"""Cells of one batch that its objects do not name. They cost their sender nothing, so not its bytes bound them."""


def missing_cells(records: Sequence[Any], shape: RowShape) -> int:
    """How many cells the objects leave out."""
    return len(records) * shape.width - sum(len(record) for record in records if isinstance(record, dict))


def check_missing(missing: int) -> None:
    """Raise BATCH_TOO_LARGE for objects that leave out more cells than one batch may."""
    if missing > MISSING_MAX:
        detail = "The objects leave out too many names for one batch: send fewer rows at a time, or arrays."
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, detail, missing_max=MISSING_MAX)


def rows_of_records(records: Sequence[Any], shape: RowShape, *, are_objects: bool) -> list[Any]:
    """Take the rows of records that are all arrays of cells, or all objects keyed by column name.

    Raises INVALID_REQUEST with ``row``, from 1, for a record that is neither,
    for another kind than ``are_objects`` says, and with ``keys`` for names
    that no column has. A name that an object lacks is null.
    """
    if are_objects:
        # Objects that all have every name, and no other, go fast.
        is_simple = shape.width > 1 and len(shape.name_set) == shape.width
        if is_simple and set(map(type, records)) == {dict} and set(map(len, records)) == {shape.width}:
            with suppress(KeyError):
                return list(map(itemgetter(*shape.names), records))
        check_missing(missing_cells(records, shape))
        return [_row_of_object(record, row, shape) for row, record in enumerate(records, 1)]
    for row, record in enumerate(records, 1):
        if not isinstance(record, list):
            raise _not_a_row(row)
    return list(records)


def batch_of_rows(rows: Sequence[Sequence[Any]], shape: RowShape) -> Batch:
    """Make a batch of rows with one cell for each column.

    Raises ROW_WIDTH_MISMATCH, and INVALID_VALUE with ``column`` for an array
    or an object in a cell, with ``row`` from 1.
    """
    columns = zip(_columns(rows, shape), shape.columns, strict=True)
    return Batch(len(rows), tuple(_cells(values, spec) for values, spec in columns))


def batch_of_texts(rows: Sequence[Sequence[str]], shape: RowShape) -> Batch:
    """As ``batch_of_rows``, for input that has only texts: ``null_value`` means null."""
    null = shape.null_value
    return Batch(len(rows), tuple(_cells_of_texts(texts, null) for texts in _columns(rows, shape)))


def batch_of_cells(cells: Sequence[str], rows: int, shape: RowShape) -> Batch:
    """As ``batch_of_texts``, for rows one after the other in one list, each as wide as the table."""
    width = shape.width
    return Batch(rows, tuple(_cells_of_texts(cells[index::width], shape.null_value) for index in range(width)))


def _cells_of_texts(texts: Sequence[str], null: str | None) -> Cells:
    if null is None or null not in texts:
        return Cells.of_texts(texts)
    return Cells.of([None if text == null else text for text in texts])


def _columns(rows: Sequence[Sequence[Any]], shape: RowShape) -> list[tuple[Any, ...]]:
    if set(map(len, rows)) - {shape.width}:
        row, cells = next((row, len(cells)) for row, cells in enumerate(rows, 1) if len(cells) != shape.width)
        raise uneven(row=row, cells=cells, columns=shape.width)
    return list(zip(*rows, strict=True)) if rows else [()] * shape.width


def _cells(values: Sequence[Any], spec: ColumnSpec) -> Cells:
    kinds = set(map(type, values))
    if kinds == {str}:
        return Cells.of_texts(values)
    if kinds <= _TEXT:
        return Cells.of(values)
    if kinds == {int}:
        return Cells.of(list(map(str, values)))
    if kinds <= _SCALAR:
        return Cells.of([cell_text(value) for value in values])
    row = next(row for row, value in enumerate(values, 1) if type(value) not in _SCALAR)
    raise SluiceError(ErrorCode.INVALID_VALUE, NO_CELL, row=row, column=spec.name)


def cell_text(value: object) -> str | None:
    """The text of a cell; None for null, and for what is no cell."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


def _row_of_object(record: object, row: int, shape: RowShape) -> list[object]:
    """The cells of an object in the order of the columns; a name that is missing is null."""
    if not isinstance(record, Mapping):
        raise _not_a_row(row)
    if not (shape.leaves_others or record.keys() <= shape.name_set):
        unknown = sorted(record.keys() - shape.name_set)[:KEYS_SHOWN_MAX]
        keys = [key[:KEY_CHARS_MAX].encode(errors="replace").decode() for key in unknown]
        detail = f"An object has a name that is no column's: {', '.join(map(repr, keys))}."
        raise SluiceError(ErrorCode.INVALID_REQUEST, detail, row=row, keys=keys)
    if len(shape.name_set) < shape.width:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "Two columns have the same name: send arrays.", row=row)
    return [record.get(name) for name in shape.names]


def too_wide(shape_width: int, **place: int) -> SluiceError:
    """A row that was refused before it was read to its end, so that its cells were not counted."""
    return SluiceError(ErrorCode.ROW_WIDTH_MISMATCH, columns=shape_width, **place)


def _not_a_row(row: int) -> SluiceError:
    return SluiceError(ErrorCode.INVALID_REQUEST, "Rows are all arrays, or all objects.", row=row)


def uneven(*, row: int, cells: int, columns: int) -> SluiceError:
    """A row that is not as wide as the table."""
    detail = f"The row has {cells:,} cells, the table {columns:,} columns."
    return SluiceError(ErrorCode.ROW_WIDTH_MISMATCH, detail, row=row, cells=cells, columns=columns)
