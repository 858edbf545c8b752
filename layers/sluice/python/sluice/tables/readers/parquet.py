"""Reads rows from Parquet: every value as the text that says exactly it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import MIB
from sluice.domain.schema import ColumnType

_PIECE_BYTES = 2 * MIB
"""About so large a piece is, as Arrow has it."""


class FileColumn(NamedTuple):
    """A column as the file describes it."""

    name: str
    kind: ColumnType
    type: str
    is_nullable: bool


class ParquetTable:
    """A file that is read from any row on; row groups before it are not. Memory is a piece, and what decodes it.

    Bytes are base64, times have their zone's offset where they have a zone. Whether a column has one value in each row
    is asked when it is read: lists and structs have not.
    """

    def __init__(self, content: IO[bytes]) -> None:
        """Raises INVALID_REQUEST for what is no Parquet file."""
        try:
            self._file = pq.ParquetFile(content, buffer_size=MIB, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The file is no Parquet file, or it is cut short.") from None
        schema = self._file.schema_arrow
        self.columns = tuple(FileColumn(one.name, _kind_of(one.type), str(one.type), one.nullable) for one in schema)
        self.rows: int = self._file.metadata.num_rows

    def pieces(self, names: Sequence[str], skip: int, rows_max: int) -> Iterator[tuple[list[list[str | None]], int]]:
        """Yield the texts of each column, and how many rows they are of. Raises INVALID_REQUEST, INVALID_VALUE."""
        schema = self._file.schema_arrow
        for name in names:
            if pa.types.is_nested(schema.field(name).type):
                detail = f"It is a {schema.field(name).type}, and a cell has one value."
                raise SluiceError(ErrorCode.INVALID_VALUE, detail, column=name)
        groups: list[int] = []
        for number in range(self._file.metadata.num_row_groups):
            rows = self._file.metadata.row_group(number).num_rows
            if groups or rows > skip:
                groups.append(number)
            else:
                skip -= rows
        for batch in self._batches(groups, names, rows_max):
            begin = min(skip, batch.num_rows)
            skip -= begin
            yield from self._cut(batch.slice(begin).select(list(names)))

    def _batches(self, groups: Sequence[int], names: Sequence[str], rows_max: int) -> Iterator[Any]:
        try:
            if groups:
                yield from self._file.iter_batches(rows_max, groups, list(names), use_threads=False)
        except pa.ArrowException:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The file is damaged.") from None

    def _cut(self, batch: Any) -> Iterator[tuple[list[list[str | None]], int]]:
        rows = batch.num_rows
        most = max(1, rows * _PIECE_BYTES // max(_PIECE_BYTES, batch.nbytes))
        for start in range(0, rows, most):
            piece = batch.slice(start, most)
            yield [_texts(column) for column in piece.columns], piece.num_rows


def _kind_of(kind: Any) -> ColumnType:
    if pa.types.is_dictionary(kind):
        return _kind_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return ColumnType.BOOLEAN
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return ColumnType.NUMBER
    if pa.types.is_date(kind):
        return ColumnType.DATE
    return ColumnType.DATETIME if pa.types.is_timestamp(kind) else ColumnType.STRING


def _texts(column: Any) -> list[str | None]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if one is None else base64.b64encode(one).decode() for one in column.to_pylist()]
    found: list[str | None] = pc.cast(column, pa.string()).to_pylist()
    return found
