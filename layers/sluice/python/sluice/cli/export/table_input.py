"""Opens a table in a file or a pipe: packed or not, in which format, with which columns."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple, cast

import typer

from sluice.domain.limits import KIB, Limits
from sluice.domain.params import ExportParams
from sluice.tables.readers.batching import Hints, TableBatch, TableReader
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.gunzip import Gunzip
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.records import RowShape

STDIN = Path("-")
BLOCK_BYTES = 64 * KIB
HINTS = Hints(
    no_header="--columns names those of an input without such a line",
    names="--columns names them",
    encoding="--encoding names another",
)


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


class TableInput:
    """A table that is read once, from front to end, with one batch in memory."""

    def __init__(self, reader: TableReader, columns: tuple[str, ...], file: IO[bytes], size: int | None) -> None:
        self._reader = reader
        self._file = file
        self.columns = columns
        self.size = size
        """Bytes of the input as stored; None for a pipe."""

    def position(self) -> int:
        """How many of the stored bytes were read."""
        return self._file.tell() if self.size is not None else 0

    def batches(self, params: ExportParams, limits: Limits) -> Iterator[TableBatch]:
        """Yield the rows in the batches that a service would cut them into. Errors have ``row`` and ``line``."""
        return self._reader.batches(RowShape.of(params, "", limits))


@contextmanager
def open_table(path: Path, options: InputOptions, limits: Limits | None = None) -> Iterator[TableInput]:
    """Open the input; ``-`` is standard input, ``.gz`` is unpacked. Raises INVALID_REQUEST when it has no columns."""
    with ExitStack() as stack:
        file = cast("BufferedReader", sys.stdin.buffer) if path == STDIN else stack.enter_context(path.open("rb"))
        size = path.stat().st_size if path != STDIN and path.is_file() else None
        blocks = _unpacked(file) if path.suffix.lower() == ".gz" else _blocks(file)
        reader = _reader_of(blocks, options, limits or Limits())
        yield TableInput(reader, options.columns or reader.read_names(), file, size)


def _reader_of(blocks: Iterator[bytes], options: InputOptions, limits: Limits) -> TableReader:
    if options.format is InputFormat.NDJSON:
        return JsonLinesTable(blocks, limits, hints=HINTS)
    written = CsvOptions(delimiter=options.delimiter, encoding=_codec(options.encoding), has_header=not options.columns)
    return CsvTable(blocks, limits, written, hints=HINTS)


def _blocks(file: BufferedReader) -> Iterator[bytes]:
    """Yield what is there; of a pipe, without waiting for a block to be full."""
    while block := file.read1(BLOCK_BYTES):
        yield block


def _unpacked(file: BufferedReader) -> Iterator[bytes]:
    gunzip = Gunzip()
    for block in _blocks(file):
        yield from gunzip.feed(block)
    gunzip.finish()


def _codec(encoding: str) -> str:
    """The name of a codec of texts, as Python's own list has it."""
    try:
        "a".encode(encoding)  # refuses codecs of bytes
        return codecs.lookup(encoding).name
    except (LookupError, UnicodeError):
        raise typer.BadParameter(f"there is no encoding {encoding!r}", param_hint="--encoding") from None


def input_format_of(path: Path) -> InputFormat:
    """Tell the format by the name: ``.ndjson`` and ``.jsonl``, perhaps followed by ``.gz``; anything else is CSV."""
    name = path.name.lower().removesuffix(".gz")
    return InputFormat.NDJSON if name.endswith((".ndjson", ".jsonl")) else InputFormat.CSV


def delimiter_of(path: Path) -> str:
    """Tell the delimiter by the name: a tab for ``.tsv``, else a comma."""
    return "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
