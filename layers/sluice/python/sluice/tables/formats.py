"""The registry of file formats."""

from __future__ import annotations

from sluice.domain.keys import extension_of
from sluice.domain.options import ExportFormat
from sluice.domain.task import Task
from sluice.tables.writers.csv.format import CSV
from sluice.tables.writers.format import Format
from sluice.tables.writers.jsonl.format import JSONL
from sluice.tables.writers.parquet.format import PARQUET
from sluice.tables.writers.xlsx.format import XLSX

WRITER_VERSION = "5"
"""Raised whenever the same rows give other bytes, or none for want of a valid value; stored with every result."""


FORMATS: dict[ExportFormat, Format] = {one.name: one for one in (XLSX, CSV, JSONL, PARQUET)}
EXTENSIONS = tuple(dict.fromkeys(extension for one in FORMATS.values() for extension in one.extensions))
"""Of all formats, plain and compressed, without the leading dot."""


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
