"""`sluice export`: rows in, one file out, in this process or through a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.cli.data_options import AsJson
from sluice.cli.export_order import make_params
from sluice.cli.local_export import Exported, export_locally
from sluice.cli.progress import Progress, shown_progress
from sluice.cli.remote_export import export_remotely
from sluice.cli.server_calls import ServerCalls, check_server
from sluice.cli.table_input import STDIN, InputFormat, InputOptions, delimiter_of, input_format_of, open_table
from sluice.cli.wording import json_of, lines_of
from sluice.domain.options import ExportFormat
from sluice.domain.secret import Secret


def export_file(
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="CSV with a header line, or NDJSON; may end in .gz; - is standard input.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to make: .xlsx, .csv or .csv.gz.", dir_okay=False
        ),
    ],
    types: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TYPE,…",
            help="string (default), number, date, datetime, boolean; a format may follow: paid=boolean:yes/no.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,…",
            help="How the file looks, such as csv_delimiter=; or banding=true; or a JSON object.",
        ),
    ] = None,
    file_format: Annotated[
        ExportFormat | None, typer.Option("--format", help="By the output's name by default.")
    ] = None,
    input_format: Annotated[InputFormat | None, typer.Option(help="By the input's name by default.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV input: a comma, or a tab for .tsv.")] = None,
    encoding: Annotated[str, typer.Option(help="Of a CSV input.")] = "utf-8",
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Names of the columns, when the input has no header line.")
    ] = None,
    null_value: Annotated[str | None, typer.Option(help="Text of a CSV input that means null.")] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", envvar="SLUICE_SERVER", help="Let this service make the file.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SLUICE_TOKEN", help="API key for the service; the variable keeps it out of process lists."
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="With --server: run again under the same key to go on after a crash.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    r"""Turn rows into an Excel or CSV file.

    The file appears under its name only when it is whole; a run that fails leaves nothing.

    Examples:
      sluice export rows.csv -o orders.xlsx --types id=number,paid=boolean
      sluice export rows.ndjson -o orders.csv.gz --options csv_delimiter=;
      psql -c '\copy orders to stdout csv header' | sluice export - -o orders.xlsx
      sluice export rows.csv -o orders.xlsx --server https://exports.example.com
    """
    check_input(rows)
    target = check_output(output, rows)
    reading = InputOptions(
        format=input_format or input_format_of(rows),
        delimiter=read_delimiter(delimiter) if delimiter is not None else delimiter_of(rows),
        encoding=encoding,
        columns=tuple(columns.split(",")) if columns else (),
        null_value=null_value,
    )
    with open_table(rows, reading) as table, shown_progress() as progress:
        params = make_params(target, table.columns, types=types or (), options=options or (), format_name=file_format)
        if server is None:
            exported = export_locally(table, params, output=target, progress=progress)
        else:
            calls = server_calls(server, token, progress)
            exported = export_remotely(
                table, params, output=target, progress=progress, calls=calls, idempotency_key=idempotency_key
            )
    print(json_of({"file": str(output), **exported._asdict()}) if as_json else summary(output, exported))


def server_calls(server: str, token: str | None, progress: Progress) -> ServerCalls:
    """Prepare calls to a service."""
    return ServerCalls(
        url=check_server(server),
        token=Secret(token or ""),
        clock=SystemClock(),
        randomness=SystemRandomness(),
        noted=progress.note,
    )


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


def summary(output: Path, exported: Exported) -> str:
    """What was made, for a person."""
    warnings = [("  warning", f"{kind}: {count:,}") for kind, count in sorted(exported.warnings.items())]
    facts = [
        ("  rows", f"{exported.rows:,}"),
        ("  bytes", f"{exported.bytes:,}"),
        ("  sha256", exported.sha256),
        *warnings,
    ]
    return "\n".join([str(output), *lines_of(facts)])
