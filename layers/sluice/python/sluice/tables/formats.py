"""The registry of file formats: one entry per format, made of plain functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sluice.domain.keys import extension_of
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Task
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.csv import writer as csv_writer
from sluice.tables.writers.jsonl import writer as jsonl_writer
from sluice.tables.writers.parquet import writer as parquet_writer
from sluice.tables.writers.xlsx import writer as xlsx_writer

WRITER_VERSION = "3"
"""Raised whenever a writer gives other bytes for the same rows; stored with every result."""


@dataclass(frozen=True, slots=True)
class Format:
    """Everything the service asks of a file format. Arguments are passed by position."""

    extension: Callable[[ExportOptions, int], str]
    """Without the leading dot, for a file of so many rows: ``xlsx``, ``csv``, ``csv.gz``, ``zip``."""
    media_type: Callable[[ExportOptions, int], str]
    """The Content-Type of such a file."""
    check_table: Callable[[ExportParams, Limits], None]
    """Refuse columns and options the format cannot honour; called when a task is opened.

    Raises TOO_MANY_COLUMNS, UNSUPPORTED_ENCODING, or INVALID_REQUEST with the fact ``field``.
    """
    check_rows: Callable[[ExportParams, Sequence[int], Limits], None]
    """Refuse a number of rows, per declared table, that the file cannot hold; called when a task is closed.

    Raises TOO_MANY_ROWS.
    """
    check_batch: Callable[[Batch, tuple[ColumnSpec, ...], ExportOptions, Limits], None]
    """Refuse values the file cannot hold; called for every batch before it is stored.

    Raises INVALID_VALUE, INVALID_TEXT or CELL_TOO_LONG with the facts ``row``
    (from 1 within the batch) and ``column`` (its name).
    """
    write: Callable[[Iterable[Batch], FilePlan, Tally], Iterator[bytes]]
    """Yield the file in blocks, reading batches only as they are needed.

    The same rows give the same bytes, however they are cut into batches.
    Raises ROW_COUNT_MISMATCH unless exactly ``table.rows`` rows came. May
    raise ``Replan``: then the file is written again from its first row.
    """
    size_bound: Callable[[FilePlan], int]
    """No file of this table has more bytes."""
    held_bound: Callable[[FilePlan, int], int]
    """``write`` holds no more bytes of memory of a table whose batches have at most this many canonical bytes.

    The batch itself, decoded, and what was held before the first row are not counted.
    """


FORMATS: dict[ExportFormat, Format] = {
    ExportFormat.XLSX: Format(
        extension=xlsx_writer.extension,
        media_type=xlsx_writer.media_type,
        check_table=xlsx_writer.check_table,
        check_rows=xlsx_writer.check_rows,
        check_batch=xlsx_writer.check_batch,
        write=xlsx_writer.write,
        size_bound=xlsx_writer.size_bound,
        held_bound=xlsx_writer.held_bound,
    ),
    ExportFormat.CSV: Format(
        extension=csv_writer.extension,
        media_type=csv_writer.media_type,
        check_table=csv_writer.check_table,
        check_rows=csv_writer.check_rows,
        check_batch=csv_writer.check_batch,
        write=csv_writer.write,
        size_bound=csv_writer.size_bound,
        held_bound=csv_writer.held_bound,
    ),
    ExportFormat.JSONL: Format(
        extension=jsonl_writer.extension,
        media_type=jsonl_writer.media_type,
        check_table=jsonl_writer.check_table,
        check_rows=jsonl_writer.check_rows,
        check_batch=jsonl_writer.check_batch,
        write=jsonl_writer.write,
        size_bound=jsonl_writer.size_bound,
        held_bound=jsonl_writer.held_bound,
    ),
    ExportFormat.PARQUET: Format(
        extension=parquet_writer.extension,
        media_type=parquet_writer.media_type,
        check_table=parquet_writer.check_table,
        check_rows=parquet_writer.check_rows,
        check_batch=parquet_writer.check_batch,
        write=parquet_writer.write,
        size_bound=parquet_writer.size_bound,
        held_bound=parquet_writer.held_bound,
    ),
}


def filename_of(task: Task) -> str:
    """The name that the task's file is delivered under: as asked for, with the extension it turned out to need.

    Before the seal it is the name for rows that one file of the format holds. A
    file that an older release made is named for what it is, not for what it
    would be now.
    """
    params = task.live_params
    extension = FORMATS[params.format].extension
    made = extension_of(task.result_key) if task.result_key else ""
    expected, needed = extension(params.options, 0), made or extension(params.options, task.total_rows)
    return f"{params.filename.removesuffix('.' + expected)}.{needed}"
