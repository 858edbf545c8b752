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

    def __init__(self, reader: TableReader, names: tuple[str, ...], options: ExportOptions, limits: Limits) -> None:
        """Reads one batch. Raises what ``reader`` raises."""
        batches = reader.batches(RowShape.of_names(names, options.null_value, limits))
        first = next(batches, None)
        detected = detect_types(names, first.batch, options.timezone) if first else tuple(map(ColumnSpec, names))
        self.columns = detected
        self.batches: Iterator[TableBatch] = chain([first] if first else [], batches)


def tolerant(params: ExportParams) -> ExportParams:
    """``params`` that keep a value that is none of its column's type as text, counted.

    Not of Parquet, where every column would then be text: there it is refused. A value of the type that is only
    written otherwise than the first batch had it is what the columns themselves ask about (``detected``).
    """
    if params.format is ExportFormat.PARQUET or params.options.on_invalid != ExportOptions().on_invalid:
        return params
    return msgspec.structs.replace(params, options=msgspec.structs.replace(params.options, on_invalid="text"))
