"""Writes row groups as a Parquet file, through the library; imported only when a file is written."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.parquet.columns import ParquetColumn
from sluice.tables.writers.parquet.kinds import DECIMAL_DIGITS, Stored
from sluice.tables.writers.parquet.row_groups import GatheredColumn, RowGroup, RowGroups, group_bytes
from sluice.tables.writers.sealed_rows import sealed_rows

_TYPES = {
    Stored.TEXT: pa.string(),
    Stored.WHOLE: pa.int64(),
    Stored.DAY: pa.date32(),
    Stored.MOMENT: pa.timestamp("us"),
    Stored.TRUTH: pa.bool_(),
}


class BlockSink:
    """What the library takes for a file: keeps what is written until it is fetched."""

    closed = False

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        self.closed = True

    def fetch(self) -> Iterator[bytes]:
        """Yield what was written since the last time."""
        blocks, self._blocks = self._blocks, []
        yield from blocks


def parquet_blocks(batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
    """Yield the file's bytes; the contract is that of ``parquet_writer.write``."""
    columns = [ParquetColumn(column, plan.options) for column in plan.columns]
    names = (column.name for column in plan.columns)
    types = (
        pa.decimal128(DECIMAL_DIGITS, kind.decimals) if kind.stored is Stored.DECIMAL else _TYPES[kind.stored]
        for kind in (column.kind for column in columns)
    )
    schema = pa.schema(list(zip(names, types, strict=True)))
    sink = BlockSink()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd" if plan.options.compression_enabled else "snappy",
        # Of texts, the footer would keep the first and the last of every row group, whatever their length.
        write_statistics=[field.name for field in schema if field.type != pa.string()],
        store_schema=False,  # says again, for one library only, what every column's type says
    ) as writer:
        yield from sink.fetch()
        for group in _groups(batches, columns, plan, tally):
            writer.write_table(_arrow_table(group, schema), row_group_size=group.rows)
            yield from sink.fetch()
            pa.default_memory_pool().release_unused()  # else the next row group comes on top of this one's remains
    yield from sink.fetch()


def _groups(batches: Iterable[Batch], columns: list[ParquetColumn], plan: FilePlan, tally: Tally) -> Iterator[RowGroup]:
    groups = RowGroups(len(columns), bytes_max=group_bytes(plan))
    for part in sealed_rows(batches, plan, tally):
        fields = [
            column.fields(cells, part.rows, rows_before=tally.rows, warnings=tally.warnings)
            for column, cells in zip(columns, part.columns, strict=True)
        ]
        yield from groups.add(fields, part.rows)
    yield from groups.rest()


def _arrow_table(group: RowGroup, schema: pa.Schema) -> pa.Table:
    arrays = []
    for index, field in enumerate(schema):
        arrays.append(_array(group.columns[index], group.rows).cast(field.type))
        group.columns[index] = GatheredColumn()  # its bytes are in memory once, not twice
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: GatheredColumn, rows: int) -> pa.Array:
    """The fields as texts: offsets and bytes as they lie, no object for each."""
    offsets = array("i", accumulate(column.lengths, initial=0))
    texts = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(column.data))
    if 1 not in column.nulls:
        return texts
    marks = pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(column.nulls)])
    return pc.if_else(pc.equal(marks, 0), texts, pa.scalar(None, pa.string()))
