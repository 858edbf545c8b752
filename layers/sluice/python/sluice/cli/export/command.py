"""`sluice export`: rows in, one file out, in this process or through a service."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sluice.cli.data_options import AsJson
from sluice.cli.export.local_export import Exported, export_locally
from sluice.cli.export.params_from_flags import make_params
from sluice.cli.export.progress import shown_progress
from sluice.cli.export.remote_export import export_remotely
from sluice.cli.export.table_input import (
    STDIN,
    InputOptions,
    delimiter_by_name,
    kind_by_name,
    open_table,
)
from sluice.cli.formatting import json_of, lines_of, say
from sluice.cli.server_options import Token, open_client
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnType
from sluice.tables.formats import EXTENSIONS
from sluice.tables.readers.kinds import TableKind

Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="CSV with a header line, NDJSON or a JSON array; perhaps packed by gzip; - is standard input.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help=f"The file to make: .{', .'.join(EXTENSIONS)}.",
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
RowsFormat = Annotated[
    TableKind | None, typer.Option("--input-format", help="By the input's content and name by default.")
]
Delimiter = Annotated[
    str | None, typer.Option(help="Of a CSV input; by default what divides its first line: a comma, tab, ; or |.")
]
Encoding = Annotated[str, typer.Option(help="Of a CSV input.")]
Columns = Annotated[
    str | None, typer.Option(metavar="NAME,…", help="Names of the columns, when the input has no header line.")
]
NullValue = Annotated[str | None, typer.Option(help="Text of a CSV input that means null.")]
DetectTypes = Annotated[
    bool,
    typer.Option(
        help="Without --types: take columns for numbers, dates or booleans where all of the first rows are, and are "
        "shown as they were sent. Never those with leading zeros, more than 15 digits or another offset than UTC's; "
        "what comes later and would be shown otherwise is kept as text and counted."
    ),
]
Server = Annotated[
    str | None, typer.Option(metavar="URL", envvar="SLUICE_SERVER", help="Let this service make the file.")
]
IdempotencyKey = Annotated[
    str | None, typer.Option(help="With --server: run again under the same key to go on after a crash.")
]


def export_file(
    rows: Input,
    *,
    output: Output,
    types: Types = None,
    options: Options = None,
    file_format: OutputFormat = None,
    input_format: RowsFormat = None,
    delimiter: Delimiter = None,
    encoding: Encoding = "utf-8",
    columns: Columns = None,
    null_value: NullValue = None,
    detect_types: DetectTypes = True,
    server: Server = None,
    token: Token = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
) -> None:
    r"""Turn rows into an Excel, CSV or other file; its name says which.

    The file appears under its name only when it is whole; a run that fails leaves nothing.

    Examples:
      sluice export rows.csv -o orders.xlsx --types id=number,paid=boolean
      sluice export rows.ndjson -o orders.csv.gz --options 'csv_delimiter=;,csv_bom=false'
      sluice export rows.csv -o orders.parquet --types id=number:0,amount=number:0.00,at=datetime
      psql -c '\copy orders to stdout csv header' | sluice export - -o orders.xlsx
      sluice export rows.csv -o orders.xlsx --server https://exports.example.com
    """
    check_input(rows)
    target = check_output(output, rows)
    reading = InputOptions(
        format=input_format,
        delimiter=read_delimiter(delimiter) if delimiter is not None else delimiter_by_name(rows),
        encoding=encoding,
        columns=read_names(columns),
        otherwise=kind_by_name(rows),
    )
    with open_table(rows, reading) as table, shown_progress() as progress:
        params = make_params(
            target,
            table.columns,
            types=types or (),
            options=options or (),
            format_name=file_format,
            null_value=null_value,
        )
        if detect_types and not types:
            params = msgspec.structs.replace(params, columns=table.detect_types(params.options, Limits()))
        if server is None:
            exported = export_locally(table, params, output=target, progress=progress)
        else:
            with open_client(server, token, progress.note) as client:
                exported = export_remotely(
                    table, params, output=target, progress=progress, client=client, idempotency_key=idempotency_key
                )
        exported = exported._replace(read_as=table.written, types=types_of(params))
    say(json_of(exported._asdict()) if as_json else summary(exported))


def types_of(params: ExportParams) -> str:
    """The columns that are no texts."""
    return ", ".join(f"{one.name} {one.type}" for one in params.columns if one.type is not ColumnType.STRING)


def summary(exported: Exported) -> str:
    """What was made, for a person."""
    warnings = [("  warning", f"{kind}: {count:,}") for kind, count in sorted(exported.warnings.items())]
    facts = [
        ("  read as", exported.read_as),
        ("  types", exported.types or "all text"),
        ("  rows", f"{exported.rows:,}"),
        ("  bytes", f"{exported.bytes:,}"),
        ("  sha256", exported.sha256),
        *warnings,
    ]
    return "\n".join([exported.file, *lines_of(facts)])


def check_input(rows: Path) -> None:
    """Raise ``typer.BadParameter`` for an input that cannot be read; typer's own check knows no ``-``."""
    if rows != STDIN and not rows.exists():
        raise typer.BadParameter(f"there is no file {rows}", param_hint="INPUT")
    if rows.is_dir():
        raise typer.BadParameter(f"{rows} is a directory", param_hint="INPUT")


def check_output(output: Path, rows: Path | None) -> Path:
    """Find where the file goes. Raises ``typer.BadParameter`` where no new file can take the name."""
    try:
        target, source = output.resolve(), rows.resolve() if rows is not None else None
    except (RuntimeError, OSError):  # which of them depends on the release of Python
        raise typer.BadParameter(f"{output} or {rows} is a link to itself", param_hint="-o") from None
    if target.exists() and not target.is_file():
        raise typer.BadParameter(f"{output} is not a regular file", param_hint="-o")
    if not target.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {target.parent}", param_hint="-o")
    if output == STDIN or (rows != STDIN and target == source):
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
    try:
        return tuple(next(csv.reader(StringIO(text, newline="")), ())) if text else ()
    except csv.Error:
        raise typer.BadParameter("names are divided by commas, as in CSV", param_hint="--columns") from None
