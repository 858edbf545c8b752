"""Rows as the JSON of a batch, and a table of any length cut into batches."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from threading import Lock
from typing import Any, TypeAlias, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from sluice.client.errors import SluiceApiError

T = TypeVar("T")

Row: TypeAlias = Sequence[object] | Mapping[str, object]
"""One cell for each column, in order; or cells by the column's name.

A cell is None, a text, a number (Decimal too), a boolean, a date, a time or both, a UUID, or an Enum of these.
"""
Columns: TypeAlias = Mapping[str, str | Mapping[str, object]] | Iterable[str | Mapping[str, object]]
"""Types by name, such as ``{"id": "number", "paid": {"type": "boolean", "format": "yes/no"}}``; or names, or objects
with ``name``, ``type``, ``format`` and ``width``."""

BATCH_ROWS_MAX = 5_000
BATCH_CHARS_MAX = 1 << 18
"""Characters of a batch, each cell that is not text counted as eight. Encoded, four times as many stay below 4 MiB."""
BATCHES_OF_ONE_SIZE = 2_000
"""Then batches are twice as large, three times: a table of 100,000,000 rows fits into 10,000 batches."""
_CELL_CHARS = 8


def encode_rows(rows: Sequence[Row], columns: Sequence[str] = ()) -> bytes:
    """Encode a batch; every digit is kept.

    Raises INVALID_VALUE or INVALID_TEXT for a cell that cannot be one, with the row (from 1) and the column: its name
    where ``columns`` or the row has it, else its number (from 1) as text. INVALID_REQUEST for what is not a row.
    """
    try:
        return _encoder.encode(rows).encode()
    except (TypeError, ValueError, RecursionError):
        raise _error_of(rows, columns) from None


def cut(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut rows into batches; the same rows always give the same batches. A huge row is alone.

    The first batch raises ``ValueError`` for rows that were begun before.
    """
    with READ_ONCE.reading(rows, rows) as once:
        yield from batches_of(once)


def batches_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """As ``cut``, for rows of which it is known that nothing has begun to read them."""
    batch: list[Row] = []
    chars = batches = 0
    rows_max, chars_max = BATCH_ROWS_MAX, BATCH_CHARS_MAX
    for row in rows:
        cells = row.values() if isinstance(row, Mapping) else row
        row_chars = sum(len(cell) if isinstance(cell, str) else _CELL_CHARS for cell in cells)
        if batch and (len(batch) == rows_max or chars + row_chars > chars_max):
            yield batch
            batch, chars = [], 0
            batches += 1
            doublings = min(batches // BATCHES_OF_ONE_SIZE, 3)
            rows_max, chars_max = BATCH_ROWS_MAX << doublings, BATCH_CHARS_MAX << min(doublings, 2)
        batch.append(row)
        chars += row_chars
    if batch:
        yield batch


_READERS = ("fetchone", "read_next_batch")
"""What cursors of databases and readers of Arrow have, which not all of them are iterators."""


class ReadOnce:
    """Iterators and cursors that calls have begun to read.

    They go on where that stopped, so that their first rows would be in no file. A generator is never read twice;
    another iterator where the call that read it succeeded, and it has rows again, as a cursor that is executed again.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._begun = _Sources(100)
        self._spent = _Sources(10)

    @contextmanager
    def reading(self, source: object, rows: Iterable[T]) -> Iterator[Iterable[T]]:
        """Give the rows of a source, which may be the source itself.

        Raise ``ValueError`` for one that was begun before; the rows do where one that was read to its end has none.
        """
        if not isinstance(source, (Iterator, AsyncIterator)) and not any(hasattr(source, name) for name in _READERS):
            yield rows
            return
        with self._lock:
            if source in self._begun:
                raise ValueError("these rows were read before: run the query again, or make the iterator anew")
            self._begun.add(source)
        yield self._watched(source, rows)
        if not isinstance(source, (Generator, AsyncGenerator)):
            with self._lock:
                self._begun.remove(source)

    def _watched(self, source: object, rows: Iterable[T]) -> Iterator[T]:
        left = iter(rows)
        for row in left:
            with self._lock:
                self._spent.add(source)
            yield row
            yield from left
            return
        with self._lock:
            if source in self._spent:
                raise ValueError(
                    "these rows were read before, and there are none left: make the iterator anew, or run the query "
                    "again, and over a new cursor where it finds nothing"
                )


class _Sources:
    """Objects, by what they are."""

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        """Of those that cannot be referred to weakly, as ``zip``."""
        self._weak: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._kept: dict[int, object] = {}

    def __contains__(self, source: object) -> bool:
        return self._weak.get(id(source)) is source or self._kept.get(id(source)) is source

    def add(self, source: object) -> None:
        try:
            self._weak[id(source)] = source
        except TypeError:
            self._kept[id(source)] = source
            if len(self._kept) > self._kept_max:
                del self._kept[next(iter(self._kept))]

    def remove(self, source: object) -> None:
        self._weak.pop(id(source), None)
        self._kept.pop(id(source), None)


READ_ONCE = ReadOnce()
"""Of all clients of the process: a call that is made again may be another's."""


def encode_columns(columns: Columns) -> list[dict[str, object]]:
    """Columns as the API takes them."""
    if isinstance(columns, Mapping):
        given = columns.items()
        return [{"name": name, **({"type": kind} if isinstance(kind, str) else kind)} for name, kind in given]
    return [{"name": column} if isinstance(column, str) else dict(column) for column in columns]


_PLAIN_DIGITS_MAX = 1_000
"""A number of more digits is written with its exponent: it could be gigabytes of zeros."""


def _plain(value: object) -> Any:
    """What JSON has no type for."""
    match value:
        case Decimal() if value.is_finite():
            return format(value, "f") if abs(value.adjusted()) <= _PLAIN_DIGITS_MAX else str(value)
        case datetime() | date() | time():
            return _iso_8601(value)
        case UUID():
            return str(value)
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case Sequence() if not isinstance(value, (bytes, bytearray, memoryview)):
            return list(value)
        case _:
            raise TypeError


def _iso_8601(value: date | time) -> str:
    """A moment whose offset has seconds, as those of long ago, is in UTC: ISO 8601 has no seconds in an offset."""
    offset = value.utcoffset() if isinstance(value, datetime) else None
    if isinstance(value, datetime) and offset is not None and offset.total_seconds() % 60:
        return value.astimezone(UTC).isoformat()
    return value.isoformat()


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _error_of(rows: Sequence[object], columns: Sequence[str]) -> SluiceApiError:
    """Find what cannot be encoded, and name its place; the value is not repeated."""
    for row_number, row in enumerate(rows, start=1):
        match row:
            case Mapping():
                cells = list(row.items())
            case Sequence():
                names = [*columns, *map(str, range(len(columns) + 1, len(row) + 1))]
                cells = list(zip(names, row, strict=False))
            case _:
                break
        for column, cell in cells:
            facts = {"row": row_number, "column": column}
            try:
                _encoder.encode({column: cell}).encode()
            except UnicodeEncodeError:
                return SluiceApiError("INVALID_TEXT", "Text is not valid Unicode.", facts=facts, who="client")
            except (TypeError, ValueError, RecursionError):
                detail = f"A cell cannot hold this value of type {type(cell).__name__}."
                return SluiceApiError("INVALID_VALUE", detail, facts=facts, who="client")
    return SluiceApiError(
        "INVALID_REQUEST", "A row is a sequence of cells, or a mapping.", facts={"row": row_number}, who="client"
    )
