"""Rows as a Parquet file: typed columns in row groups, by a library that is an optional extra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from msgspec.structs import replace

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.values.cell_checks import check_declaration, check_names_differ, check_values, refuse
from sluice.tables.writers.format import Format
from sluice.tables.writers.parquet.columns import ParquetColumn
from sluice.tables.writers.parquet.row_groups import GROUP_ROWS, fields_bytes, group_bytes, memory_bytes_max

EXTRA = "parquet"
"""The optional extra that brings the library."""
_LIBRARY = "pyarrow"
_CELL_BYTES_MAX = 24
"""The widest type with its place in a dictionary and its mark."""
_CHUNK_BYTES_MAX = 4 * KIB
"""Page headers and the footer's entry of one column of one row group, its name apart."""
_FRAME_BYTES = 4 * KIB
_LIBRARY_BYTES = 96 * MIB
"""The library's code, and what it takes with its first row group."""


class ParquetFormat(Format):
    """Typed columns in row groups, by a library that is an optional extra."""

    name = ExportFormat.PARQUET

    @property
    def is_installed(self) -> bool:
        return find_spec(_LIBRARY) is not None

    def extension(self, _options: ExportOptions, _rows: int) -> str:
        return "parquet"

    def media_type(self, _options: ExportOptions, _rows: int) -> str:
        return "application/vnd.apache.parquet"

    def check_table(self, params: ExportParams, limits: Limits) -> None:
        """Refuse a file that cannot be written here, and columns that readers could not tell apart by name.

        Raises UNSUPPORTED_FORMAT where the library is not installed.
        """
        if not self.is_installed:
            raise _no_library()
        check_declaration(params, limits)
        check_names_differ(params)
        for index, column in enumerate(params.columns):
            if not column.name:
                raise refuse(f"columns[{index}].name", "In a Parquet file every column has a name.")

    def check_batch(
        self, batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, limits: Limits
    ) -> None:
        """Refuse values of the wrong type, and those of which the column's type would lose something.

        Raises INVALID_VALUE, in the second case with the fact ``reason``:
        ``decimals``, ``leading_zeros``, ``range``, ``time_of_day``, or ``form``
        for a detected column.
        """
        del limits
        is_open = not options.on_invalid  # no detected column keeps what is none of its type: it has one
        check_values(batch, columns, replace(options, on_invalid="error") if is_open else options)
        for cells, column in zip(batch.columns, columns, strict=True):
            ParquetColumn(column, options).check(cells, batch.rows)

    def write(self, batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
        """Yield the file in blocks, a row group's as soon as it is full.

        Memory is ``row_groups.memory_bytes_max`` and one row, and some 32 MiB that
        the library takes with its first row group. It is the one format whose
        memory grows with the rows, by its footer: 2 KiB for each column of each
        row group of 8 MiB or more. Raises INVALID_VALUE for a value that does not fit its column,
        ROW_COUNT_MISMATCH unless exactly ``plan.rows`` rows came,
        UNSUPPORTED_FORMAT where the library is missing.
        """
        try:
            # Imported here, because few files are Parquet: the library costs a third of a second and some 50 MB.
            from sluice.tables.writers.parquet.file import parquet_blocks  # noqa: PLC0415
        except ImportError:
            raise _no_library() from None
        yield from parquet_blocks(batches, plan, tally)

    def size_bound(self, plan: FilePlan) -> int:
        """Bound the file's bytes by the canonical bytes of its rows."""
        cells = plan.rows * len(plan.columns)
        fields = plan.size + cells * _CELL_BYTES_MAX
        groups = 1 + plan.rows // GROUP_ROWS + fields_bytes(plan) // group_bytes(plan)
        names = sum(len(column.name.encode("utf-8", "replace")) for column in plan.columns)
        frames = (groups + 1) * (len(plan.columns) * _CHUNK_BYTES_MAX + 2 * names)
        return fields + fields // 4 + frames + _FRAME_BYTES  # no compressor makes anything a quarter larger

    def memory_bound(self, plan: FilePlan, batch_bytes: int) -> int:
        """Bound the memory of ``write``: the library's own, a row group, and a batch in two forms."""
        return _LIBRARY_BYTES + memory_bytes_max(plan) + 2 * batch_bytes


PARQUET = ParquetFormat()


def _no_library() -> SluiceError:
    detail = f"Parquet files need a library that this service does not have; its operator installs sluice[{EXTRA}]."
    return SluiceError(ErrorCode.UNSUPPORTED_FORMAT, detail, extra=EXTRA)
