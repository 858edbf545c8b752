"""The options of `sluice export`, and what can be said of them before anything is read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from sluice.cli.export.table_input import STDIN, InputFormat
from sluice.domain.options import ExportFormat

Input = Annotated[
    Path,
    typer.Argument(metavar="INPUT", help="CSV with a header line, or NDJSON; may end in .gz; - is standard input."),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file to make: .xlsx, .csv, .jsonl, .parquet; .csv.gz, .jsonl.gz.",
        dir_okay=False,
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=TYPE,…",
        help="string (default), number, date, datetime, boolean; a format may follow: paid=boolean:yes/no. "
        "Or a JSON object. Repeatable.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE,…",
        help="How the file looks, such as banding=true or csv_delimiter=\\t. Or a JSON object. Repeatable.",
    ),
]
OutputFormat = Annotated[ExportFormat | None, typer.Option("--format", help="By the output's name by default.")]
RowsFormat = Annotated[InputFormat | None, typer.Option("--input-format", help="By the input's name by default.")]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV input: a comma, or a tab for .tsv.")]
Encoding = Annotated[str, typer.Option(help="Of a CSV input.")]
Columns = Annotated[
    str | None, typer.Option(metavar="NAME,…", help="Names of the columns, when the input has no header line.")
]
NullValue = Annotated[str | None, typer.Option(help="Text of a CSV input that means null.")]
Server = Annotated[
    str | None, typer.Option(metavar="URL", envvar="SLUICE_SERVER", help="Let this service make the file.")
]
Token = Annotated[
    str | None,
    typer.Option(envvar="SLUICE_TOKEN", help="API key for the service; the variable keeps it out of process lists."),
]
IdempotencyKey = Annotated[
    str | None, typer.Option(help="With --server: run again under the same key to go on after a crash.")
]


def check_input(rows: Path) -> None:
    """Raise ``typer.BadParameter`` for an input that cannot be read; typer's own check knows no ``-``."""
    if rows != STDIN and not rows.exists():
        raise typer.BadParameter(f"there is no file {rows}", param_hint="INPUT")
    if rows.is_dir():
        raise typer.BadParameter(f"{rows} is a directory", param_hint="INPUT")


def check_output(output: Path, rows: Path) -> Path:
    """Find where the file goes. Raises ``typer.BadParameter`` where no new file can take the name."""
    target = output.resolve()
    if target.exists() and not target.is_file():
        raise typer.BadParameter(f"{output} is not a regular file", param_hint="-o")
    if not target.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {target.parent}", param_hint="-o")
    if output == STDIN or (rows != STDIN and target == rows.resolve()):
        raise typer.BadParameter("the output is a file of its own", param_hint="-o")
    return target


def read_delimiter(text: str) -> str:
    r"""Take one character; ``\t`` and ``tab`` are a tab."""
    delimiter = "\t" if text in {"\\t", "tab"} else text
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise typer.BadParameter("one character, such as ; or \\t", param_hint="--delimiter")
    return delimiter


def read_names(text: str | None) -> tuple[str, ...]:
    """Read column names as a line of CSV; a name with a comma is quoted."""
    return tuple(next(csv.reader([text]), ())) if text else ()
