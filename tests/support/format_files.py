"""Makes files of any format from rows, through the registry alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Tally
from sluice.tables.formats import FORMATS
from sluice.tables.writers.format import Format
from tests.support.csv_files import Row, batches_of, table_of


class Written(NamedTuple):
    """A file and what its writer counted."""

    data: bytes
    tally: Tally


class FormatFiles:
    """Writes and checks tables in one format."""

    def __init__(self, name: ExportFormat) -> None:
        self.name = name
        self.format: Format = FORMATS[name]

    def write(
        self, rows: Sequence[Row], columns: Sequence[ColumnSpec], *, batch_rows: int | None = None, **options: Any
    ) -> Written:
        """Write ``rows`` in batches of ``batch_rows``."""
        tally = Tally()
        batches = batches_of(rows, len(columns), batch_rows)
        return Written(b"".join(self.format.write(batches, table_of(rows, columns, **options), tally)), tally)

    def bound(self, rows: Sequence[Row], columns: Sequence[ColumnSpec], **options: Any) -> int:
        return self.format.size_bound(table_of(rows, columns, **options))

    def check_table(self, columns: Sequence[ColumnSpec], **options: Any) -> None:
        """Check a declaration, as at an open."""
        params = ExportParams(
            format=self.name, filename="orders", columns=tuple(columns), options=ExportOptions(**options)
        )
        self.format.check_table(params, Limits())

    def check_rows_of(self, rows: Sequence[Row], columns: Sequence[ColumnSpec], **options: Any) -> None:
        """Check ``rows`` as one batch, as the relay does before it stores them."""
        columns = tuple(columns)
        self.format.check_batch(Batch.of_rows(rows, len(columns)), columns, ExportOptions(**options), Limits())


def one(kind: ColumnType, column_format: str = "") -> tuple[ColumnSpec, ...]:
    return (ColumnSpec("value", kind, format=column_format),)


def refusal(call: Callable[[], object]) -> SluiceError:
    """The refusal of a call that must not succeed."""
    with pytest.raises(SluiceError) as caught:
        call()
    return caught.value


class ParquetRead(NamedTuple):
    """A Parquet file as DuckDB sees it."""

    types: dict[str, str]
    rows: list[tuple[Any, ...]]
    group_rows: list[int]


def read_parquet(data: bytes, folder: Path) -> ParquetRead:
    """Read a file with a program that shares nothing with the library that wrote it."""
    path = folder / "read.parquet"
    path.write_bytes(data)
    with duckdb.connect() as database:
        types = dict(database.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{path}')").fetchall())
        rows = database.execute(f"SELECT * FROM '{path}'").fetchall()
        groups = f"SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata('{path}') ORDER BY 1"
        return ParquetRead(types, rows, [count for _, count in database.execute(groups).fetchall()])
