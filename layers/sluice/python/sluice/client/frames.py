"""Tables to send: rows with their columns, or a data frame of pandas, polars or Arrow, which says its columns itself.

None of these libraries is imported here: who has a data frame has its library.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from sluice.client.rows import BATCH_ROWS_MAX, READ_ONCE, Columns, Row, batches_of, encode_columns

Frame: TypeAlias = Any
"""A ``DataFrame`` of pandas or polars, or a ``Table``, ``RecordBatch`` or ``RecordBatchReader`` of pyarrow."""

_NUMBERS = ("int", "uint", "float", "double", "halffloat", "decimal")
"""How Arrow's names of numeric types begin."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; the rows are read once."""

    columns: list[dict[str, object]]
    rows: Iterable[Row]
    source: object
    """What was given."""

    @classmethod
    def of(cls, rows: Iterable[Row] | Frame, columns: Columns | None) -> Table:
        """Raise ``ValueError`` where neither says the columns. ``columns`` beside a frame name those of the file."""
        if isinstance(rows, AsyncIterable):
            raise ValueError("asynchronous rows are taken by send_table of sluice.client.aio alone")  # noqa: TRY004 -- as all
        library = type(rows).__module__.partition(".")[0]
        given = None if columns is None else encode_columns(columns)
        source = rows
        if library in _LIBRARIES and library in sys.modules:
            found, rows = _LIBRARIES[library](rows)
            given = given or [{"name": name, "type": kind} for name, kind in found]
        if given is None:
            raise ValueError("columns are missing: only a data frame says its own")
        return cls(given, rows, source)

    @contextmanager
    def batches(self) -> Iterator[Iterator[list[Row]]]:
        """Raise ``ValueError`` for rows that an earlier call began to read."""
        with READ_ONCE.reading(self.source, self.rows) as rows:
            yield batches_of(rows)


_Found: TypeAlias = tuple[list[tuple[str, str]], Iterator[Row]]
"""Names and types of the columns, and the rows."""


def _pandas(frame: Any) -> _Found:
    """What pandas takes for missing (NaN, NaT, NA) is empty. The index is no column."""
    types = sys.modules["pandas"].api.types

    def kind(column: Any) -> str:
        if hasattr(column.dtype, "pyarrow_dtype"):
            return _arrow_kind(column.dtype.pyarrow_dtype)
        if types.is_bool_dtype(column.dtype):
            return "boolean"
        if types.is_numeric_dtype(column.dtype):
            return "number"
        if types.is_datetime64_any_dtype(column.dtype):
            return "datetime"
        seen = types.infer_dtype(column, skipna=True) if column.dtype == object else ""
        return _PANDAS_OBJECTS.get(seen, "string")

    def rows() -> Iterator[Row]:
        for start in range(0, len(frame), BATCH_ROWS_MAX):
            part = frame.iloc[start : start + BATCH_ROWS_MAX]
            yield from zip(*(cells(part.iloc[:, place]) for place in range(part.shape[1])), strict=True)

    def cells(column: Any) -> list[object]:
        if str(column.dtype).lower() not in _SINGLES:
            return cast("list[object]", column.astype(object).where(column.notna(), None).tolist())
        there = column.notna()
        return [float(str(number)) if here else None for number, here in zip(column.array, there, strict=True)]

    series = [frame.iloc[:, place] for place in range(frame.shape[1])]
    return [(str(name), kind(one)) for name, one in zip(frame.columns, series, strict=True)], rows()


_SINGLES = ("float16", "float32")
"""Numbers of less than 64 bits are taken with the digits that they show: a double of 0.1 as they have it has 17."""
_PANDAS_OBJECTS = {
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "decimal": "number",
    "floating": "number",
    "integer": "number",
    "mixed-integer-float": "number",
}
"""Types by what ``infer_dtype`` says of a column of Python's objects."""


def _polars(frame: Any) -> _Found:
    def kind(dtype: Any) -> str:
        base = str(dtype.base_type())
        return {"Boolean": "boolean", "Date": "date", "Datetime": "datetime"}.get(
            base, "number" if dtype.is_numeric() else "string"
        )

    def rows() -> Iterator[Row]:
        polars = sys.modules["polars"]
        singles = polars.col(polars.Float32)
        for part in frame.iter_slices(BATCH_ROWS_MAX):
            yield from part.with_columns(singles.cast(polars.String).cast(polars.Float64)).rows()

    return [(name, kind(dtype)) for name, dtype in frame.schema.items()], rows()


def _arrow(table: Any) -> _Found:
    def parts() -> Iterable[Any]:
        if hasattr(table, "to_batches"):
            return cast("Iterable[Any]", table.to_batches())
        return cast("Iterable[Any]", [table] if hasattr(table, "slice") else table)

    def rows() -> Iterator[Row]:
        for part in parts():
            for start in range(0, part.num_rows, BATCH_ROWS_MAX):
                columns: Sequence[Any] = part.slice(start, BATCH_ROWS_MAX).columns
                yield from zip(*map(cells, columns), strict=True)

    def cells(column: Any) -> list[object]:
        is_single = str(column.type) in ("float", "halffloat")
        shown = column.cast("string").cast("double") if is_single else column
        return cast("list[object]", shown.to_pylist())

    return [(field.name, _arrow_kind(field.type)) for field in table.schema], rows()


def _arrow_kind(arrow_type: Any) -> str:
    name = str(arrow_type)
    if name == "bool":
        return "boolean"
    if name.startswith("timestamp"):
        return "datetime"
    if name.startswith("date"):
        return "date"
    return "number" if name.startswith(_NUMBERS) else "string"


_LIBRARIES = {"pandas": _pandas, "polars": _polars, "pyarrow": _arrow}
