"""`sluice export`: rows in, one file out, in this process or through a service."""

from __future__ import annotations

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.cli.data_options import AsJson
from sluice.cli.export.local_export import Exported, export_locally
from sluice.cli.export.options import (
    Columns,
    Delimiter,
    Encoding,
    IdempotencyKey,
    Input,
    NullValue,
    Options,
    Output,
    OutputFormat,
    RowsFormat,
    Server,
    Token,
    Types,
    check_input,
    check_output,
    read_delimiter,
    read_names,
)
from sluice.cli.export.params_from_flags import make_params
from sluice.cli.export.progress import Progress, shown_progress
from sluice.cli.export.remote_export import export_remotely
from sluice.cli.export.server_calls import ServerCalls, check_server
from sluice.cli.export.table_input import InputOptions, delimiter_of, input_format_of, open_table
from sluice.cli.formatting import json_of, lines_of
from sluice.domain.secret import Secret


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
    server: Server = None,
    token: Token = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
) -> None:
    r"""Turn rows into an Excel, CSV, JSON Lines or Parquet file.

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
        format=input_format or input_format_of(rows),
        delimiter=read_delimiter(delimiter) if delimiter is not None else delimiter_of(rows),
        encoding=encoding,
        columns=read_names(columns),
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
    print(json_of(exported._asdict()) if as_json else summary(exported))


def server_calls(server: str, token: str | None, progress: Progress) -> ServerCalls:
    """Prepare calls to a service."""
    return ServerCalls(
        url=check_server(server),
        token=Secret(token or ""),
        clock=SystemClock(),
        randomness=SystemRandomness(),
        noted=progress.note,
    )


def summary(exported: Exported) -> str:
    """What was made, for a person."""
    warnings = [("  warning", f"{kind}: {count:,}") for kind, count in sorted(exported.warnings.items())]
    facts = [
        ("  rows", f"{exported.rows:,}"),
        ("  bytes", f"{exported.bytes:,}"),
        ("  sha256", exported.sha256),
        *warnings,
    ]
    return "\n".join([exported.file, *lines_of(facts)])
