"""The table of programs that read our CSV files, and where each by its own fault shows something else."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl

from tests.support.programs import skip_without
from tests.support.readers.corpus import NAUGHTY_NAMES
from tests.support.readers.libre_office import UTF_8, convert
from tests.support.readers.node_programs import run_node

PHP_PROGRAM = Path(__file__).parents[2] / "compat/php/read_csv_files.php"
Field = str | None
Rows = Sequence[Sequence[Field]]


class CsvFile(NamedTuple):
    """A file, and what a reader must be told about it."""

    path: Path
    encoding: str = "utf-8"
    """As registered, without which no program could guess it."""
    delimiter: str = ","
    columns: int = 1


def null_is_empty(field: Field) -> Field:
    """What a program shows that knows no null."""
    return field or ""


def as_it_is(field: Field) -> Field:
    return field


class CsvReader(NamedTuple):
    """A program that reads CSV files, every field as text."""

    name: str
    read: Callable[[Sequence[CsvFile]], list[Rows | str]]
    """The rows of each file; a text instead means that it refused the file."""
    shows: Callable[[Field], Field] = null_is_empty
    """What it shows for a field: another one only where the program itself is at fault."""
    shows_row: Callable[[list[Field]], list[Field]] = lambda row: row
    """The same for a whole row."""
    reads_gzip: bool = True
    refuses: frozenset[str] = frozenset()
    """Tables of the corpus that it does not read, by its own limits."""

    def expects(self, rows: Sequence[Sequence[Field]]) -> Rows:
        return [self.shows_row([self.shows(field) for field in row]) for row in rows]


def _plain(file: CsvFile) -> bytes:
    data = file.path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _by_csv_module(files: Sequence[CsvFile]) -> list[Rows | str]:
    csv.field_size_limit(10_000_000)
    return [_csv_module_rows(file) for file in files]


def _csv_module_rows(file: CsvFile) -> Rows:
    text = io.StringIO(_plain(file).decode(file.encoding).removeprefix("\ufeff"), newline="")
    return [list(row) for row in csv.reader(text, delimiter=file.delimiter, strict=True)]


def _by_polars(files: Sequence[CsvFile]) -> list[Rows | str]:
    return [_polars_rows(file) for file in files]


def _polars_rows(file: CsvFile) -> Rows:
    table = pl.read_csv(file.path, separator=file.delimiter, has_header=False, infer_schema=False)
    return [list(row) for row in table.rows()]


def _by_duckdb(files: Sequence[CsvFile]) -> list[Rows | str]:
    return [_duckdb_rows(file) for file in files]


def _duckdb_rows(file: CsvFile) -> Rows | str:
    columns = {f"c{number}": "VARCHAR" for number in range(file.columns)}
    query = (
        "SELECT * FROM read_csv(?, delim = ?, columns = ?, header = false, quote = '\"', escape = '\"', nullstr = '',"
        " allow_quoted_nulls = false, auto_detect = false, strict_mode = true, max_line_size = 10000000)"
    )
    try:
        rows = duckdb.execute(query, [str(file.path), file.delimiter, columns]).fetchall()
    except duckdb.Error as error:
        return str(error)
    return [list(row) for row in rows]


def _by_node(program: str) -> Callable[[Sequence[CsvFile]], list[Rows | str]]:
    def read(files: Sequence[CsvFile]) -> list[Rows | str]:
        found: list[Rows | str] = run_node("read_csv_files.mjs", program, [file._asdict() for file in files])
        return found

    return read


def read_by_php(files: Sequence[CsvFile], *, escape: str = "") -> list[Rows | str]:
    """Read with fgetcsv; ``escape`` is its parameter, a backslash by default. Skips the test without PHP."""
    skip_without("php")
    told = json.dumps([file._asdict() | {"escape": escape} for file in files], default=str)
    command = ["php", "-d", "memory_limit=512M", str(PHP_PROGRAM)]
    done = subprocess.run(command, input=told.encode(), capture_output=True, check=True, timeout=100)
    found: list[Rows | str] = json.loads(done.stdout)
    return found


def _by_libre_office(files: Sequence[CsvFile]) -> list[Rows | str]:
    """Every column is declared as text, as a careful user does on import. One process reads files of one kind."""
    found: dict[Path, Rows | str] = {}
    for delimiter in dict.fromkeys(file.delimiter for file in files):
        kind = [file for file in files if file.delimiter == delimiter]
        texts = "/".join(f"{number}/2" for number in range(1, max(file.columns for file in kind) + 1))
        options = f"CSV:{ord(delimiter)},34,{UTF_8},1,{texts},0,false,false,false"
        for file, sheets in zip(kind, convert([file.path for file in kind], import_filter=options), strict=True):
            (found[file.path],) = sheets.values()
    return [found[file.path] for file in files]


def _exceljs_shows_row(row: list[Field]) -> list[Field]:
    """Exceljs takes a line of blanks for an empty one."""
    return [""] if row == [" "] else row


def _sheetjs_shows(field: Field) -> Field:
    """SheetJS ends the lines within a field by LF."""
    return (field or "").replace("\r\n", "\n")


def _libre_office_shows(field: Field) -> Field:
    """LibreOffice ends the lines within a field by LF, and takes a CR for such an end too."""
    return (field or "").replace("\r\n", "\n").replace("\r", "\n")


CSV_READERS = (
    CsvReader("csv module", _by_csv_module),
    CsvReader("polars", _by_polars, shows=as_it_is),
    # DuckDB takes a CR in a quoted name of the header for the end of the file's lines.
    CsvReader("DuckDB", _by_duckdb, shows=as_it_is, refuses=frozenset({NAUGHTY_NAMES})),
    CsvReader("PHP", read_by_php),
    CsvReader("exceljs", _by_node("exceljs"), shows_row=_exceljs_shows_row),
    CsvReader("SheetJS", _by_node("sheetjs"), shows=_sheetjs_shows),
    CsvReader("LibreOffice", _by_libre_office, shows=_libre_office_shows, reads_gzip=False),
)


def disagreements(reader: CsvReader, found: Sequence[Sequence[Any]], expected: Sequence[Sequence[Field]]) -> list[str]:
    """The fields that are not as expected, with row and column from 1; empty when the reader agrees."""
    wanted = reader.expects(expected)
    if len(found) != len(wanted):
        return [f"{len(found)} rows instead of {len(wanted)}"]
    return [
        f"row {number}, column {column}: {_shorten(field)} instead of {_shorten(want)}"
        for number, (row, whole) in enumerate(zip(found, wanted, strict=True), 1)
        for column, (field, want) in enumerate(_pairs(row, whole), 1)
        if field != want
    ]


def _pairs(row: Sequence[Any], wanted: Sequence[Field]) -> list[tuple[Any, Field]]:
    if len(row) != len(wanted):
        return [(f"{len(row)} fields", f"{len(wanted)} fields")]
    return list(zip(row, wanted, strict=True))


def _shorten(field: Any) -> str:
    return ascii(field)[:80]
