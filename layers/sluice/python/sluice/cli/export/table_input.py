"""Rows of a file or a pipe (CSV, NDJSON) as batches, without ever holding more than one batch."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, NamedTuple, cast

import typer

from sluice.cli.export.csv_input import CsvRows
from sluice.cli.export.ndjson_input import NdjsonRows
from sluice.tables.batch import Batch

BATCH_ROWS_MAX = 10_000
BATCH_WEIGHT_MAX = 1_000_000
"""Characters and cells of a batch. Four bytes for each, which no text exceeds, stay below the service's 4 MiB."""

STDIN = Path("-")
Row = Sequence[str | None]


class InputFormat(StrEnum):
    """How rows are written in the input."""

    CSV = "csv"
    NDJSON = "ndjson"


class InputOptions(NamedTuple):
    """How to read the input."""

    format: InputFormat
    delimiter: str = ","
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    """Names of the columns when the input has none; a CSV file then has no header line."""
    null_value: str | None = None


class TableInput:
    """A table that is read once, from front to end."""

    def __init__(self, rows: CsvRows | NdjsonRows, file: IO[bytes], size: int | None) -> None:
        self._rows = rows
        self._file = file
        self.columns = rows.columns
        self.size = size
        """Bytes of the input as stored; None for a pipe."""

    def position(self) -> int:
        """How many of the stored bytes were read."""
        return self._file.tell() if self.size is not None else 0

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in batches; the same input always gives the same batches."""
        for rows in cut(self._rows):
            yield Batch.of_rows(rows, len(self.columns))


def cut(
    rows: Iterable[Row], *, rows_max: int = BATCH_ROWS_MAX, weight_max: int = BATCH_WEIGHT_MAX
) -> Iterator[list[Row]]:
    """Cut rows into lists of at most ``rows_max`` rows and ``weight_max`` characters and cells; a huge row is alone."""
    held: list[Row] = []
    weight = 0
    for row in rows:
        row_weight = len(row) + sum(map(len, filter(None, row)))
        if held and (len(held) == rows_max or weight + row_weight > weight_max):
            yield held
            held, weight = [], 0
        held.append(row)
        weight += row_weight
    if held:
        yield held


@contextmanager
def open_table(path: Path, options: InputOptions) -> Iterator[TableInput]:
    """Open the input; ``-`` is standard input, ``.gz`` is unpacked. Raises INVALID_REQUEST when it has no columns."""
    with ExitStack() as stack:
        stored = sys.stdin.buffer if path == STDIN else stack.enter_context(path.open("rb"))
        size = path.stat().st_size if path != STDIN and path.is_file() else None
        content: IO[bytes] = stored
        if path.suffix.lower() == ".gz":
            content = cast(IO[bytes], stack.enter_context(gzip.open(stored)))
        yield TableInput(_read(content, options), stored, size)


def _read(content: IO[bytes], options: InputOptions) -> CsvRows | NdjsonRows:
    if options.format is InputFormat.NDJSON:
        return NdjsonRows(content, columns=options.columns)
    text = io.TextIOWrapper(content, encoding=_codec(options.encoding), newline="")
    return CsvRows(text, delimiter=options.delimiter, columns=options.columns, null_value=options.null_value)


def _codec(encoding: str) -> str:
    """The codec of that name; UTF-8 is read with or without a byte order mark."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise typer.BadParameter(f"there is no encoding {encoding!r}", param_hint="--encoding") from None
    return "utf-8-sig" if name == "utf-8" else name


def input_format_of(path: Path) -> InputFormat:
    """Tell the format by the name: ``.ndjson`` and ``.jsonl``, perhaps followed by ``.gz``; anything else is CSV."""
    name = path.name.lower().removesuffix(".gz")
    return InputFormat.NDJSON if name.endswith((".ndjson", ".jsonl")) else InputFormat.CSV


def delimiter_of(path: Path) -> str:
    """Tell the delimiter by the name: a tab for ``.tsv``, else a comma."""
    return "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
