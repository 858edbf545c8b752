"""A table whose types are detected: its first batch is read before the export is opened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
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
