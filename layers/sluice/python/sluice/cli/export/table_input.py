"""Opens a table in a file or a pipe: packed or not, in which format, with which columns."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, cast

import typer

from sluice.domain.limits import KIB, Limits
from sluice.domain.options import ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.tables.readers.batching import Hints, TableBatch, TableReader
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.gunzip import GZIP_MAGIC, Gunzip
from sluice.tables.readers.kinds import TableKind, open_reader
from sluice.tables.readers.lines import to_utf8
from sluice.tables.readers.records import RowShape
from sluice.tables.readers.typed_table import DetectedTable

STDIN = Path("-")
DELIMITER_WORDS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_SAMPLE = "a,b\n"
BLOCK_BYTES = 64 * KIB
HINTS = Hints(
    no_header="--columns names those of an input without such a line",
    names="--columns names them",
    encoding="--encoding names another",
    kind="--input-format says which it is",
    delimiter="--delimiter names another",
)


class InputOptions(NamedTuple):
    """How to read the input."""

    format: TableKind | None = None
    """None to tell it by the content, and then by the name."""
    delimiter: str = ""
    """Empty to tell it by the first line."""
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    """Names of the columns when the input has none; a CSV file then has no header line."""
    otherwise: TableKind = TableKind.CSV
    """What the name says."""


class TableInput:
    """A table that is read once, from front to end, with one batch in memory."""

    def __init__(self, reader: TableReader, columns: tuple[str, ...], file: IO[bytes], size: int | None) -> None:
        self._reader = reader
        self._file = file
        self._detected: DetectedTable | None = None
        self.columns = columns
        self.size = size
        """Bytes of the input as stored; None for a pipe."""

    @property
    def written(self) -> str:
        """How the input is written, for a person: what its content decided is not taken silently."""
        if isinstance(self._reader, CsvTable):
            return f"CSV divided by {DELIMITER_WORDS.get(self._reader.delimiter, repr(self._reader.delimiter))}"
        return getattr(self._reader, "kind_name", "")

    def position(self) -> int:
        """How many of the stored bytes were read."""
        return self._file.tell() if self.size is not None else 0

    def detect_types(self, options: ExportOptions, limits: Limits) -> tuple[ColumnSpec, ...]:
        """Read the first batch, and say which types its columns have."""
        self._detected = DetectedTable(self._reader, self.columns, options, limits)
        return self._detected.columns

    def batches(self, params: ExportParams, limits: Limits) -> Iterator[TableBatch]:
        """Yield the rows in the batches that a service would cut them into. Errors have ``row`` and ``line``."""
        if self._detected is not None:
            return self._detected.batches
        return self._reader.batches(RowShape.of(params, "", limits))


@contextmanager
def open_table(path: Path, options: InputOptions, limits: Limits | None = None) -> Iterator[TableInput]:
    """Open the input; ``-`` is standard input, ``.gz`` is unpacked. Raises INVALID_REQUEST when it has no columns."""
    with ExitStack() as stack:
        file = cast("BufferedReader", sys.stdin.buffer) if path == STDIN else stack.enter_context(path.open("rb"))
        size = path.stat().st_size if path != STDIN and path.is_file() else None
        # What is there; of a pipe, without waiting for a block to be full.
        blocks = iter(partial(file.read1, BLOCK_BYTES), b"")
        head = next(blocks, b"")
        is_packed = path.suffix.lower() == ".gz" or head.startswith(GZIP_MAGIC)
        blocks = _unpacked(chain([head], blocks)) if is_packed else chain([head], blocks)
        written = CsvOptions(
            delimiter=options.delimiter,
            encoding=_codec(options.encoding),
            has_header=not options.columns,
            names=options.columns,
        )
        reader = open_reader(
            blocks, options.format, limits or Limits(), options=written, hints=HINTS, otherwise=options.otherwise
        )
        yield TableInput(reader, options.columns or reader.read_names(), file, size)


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    gunzip = Gunzip()
    for block in blocks:
        yield from gunzip.feed(block)
    gunzip.finish()


def _codec(encoding: str) -> str:
    """The name of a codec of texts, as Python's own list has it."""
    try:
        written = _SAMPLE.encode(encoding)  # with its mark, if it has one; refuses codecs of bytes
        name = codecs.lookup(encoding).name
        is_read = b"".join(to_utf8([written], encoding)) == _SAMPLE.encode()
    except (LookupError, ValueError, TypeError):
        is_read = False
    if not is_read:  # such as one that does not go on behind what is no text in it
        raise typer.BadParameter(f"there is no encoding {encoding!r}", param_hint="--encoding")
    return name


def kind_by_name(path: Path) -> TableKind:
    """What the name says: ``.json``, ``.ndjson``, ``.jsonl``, perhaps followed by ``.gz``; anything else is CSV."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".json"):
        return TableKind.JSON
    return TableKind.NDJSON if name.endswith((".ndjson", ".jsonl")) else TableKind.CSV


def delimiter_by_name(path: Path) -> str:
    """A tab for ``.tsv``, else none: the first line tells."""
    return "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ""
