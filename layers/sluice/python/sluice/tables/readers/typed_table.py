"""A table whose types are detected: its first batch is read before the export is opened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec

from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.tables.readers.batching import TableBatch, TableReader
from sluice.tables.readers.records import RowShape
from sluice.tables.values.type_detection import detect_types


class DetectedTable:
    """The batches of a table, and the columns that its first one shows."""

    def __init__(self, reader: TableReader, names: tuple[str, ...], null_value: str | None, limits: Limits) -> None:
        """Reads one batch. Raises what ``reader`` raises."""
        batches = reader.batches(RowShape.of_names(names, null_value, limits))
        first = next(batches, None)
        self.columns = detect_types(names, first.batch) if first else tuple(map(ColumnSpec, names))
        self.batches: Iterator[TableBatch] = chain([first] if first else [], batches)


def tolerant(params: ExportParams) -> ExportParams:
    """``params`` that keep a value of another form than the first batch had, as text that is counted.

    Not of Parquet, where every column would then be text: there it is refused.
    """
    if params.format is ExportFormat.PARQUET or params.options.on_invalid != ExportOptions().on_invalid:
        return params
    return msgspec.structs.replace(params, options=msgspec.structs.replace(params.options, on_invalid="text"))
