"""`sluice pull`: a table that is defined becomes a file, here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sluice.app.definitions import Definitions, load_definitions
from sluice.app.secrets import find_key
from sluice.cli.data_options import AsJson
from sluice.cli.dataset_commands import DatasetName, folder_option
from sluice.cli.export.command import (
    IdempotencyKey,
    Options,
    Output,
    OutputFormat,
    Server,
    check_output,
    read_names,
    summary,
    types_of,
)
from sluice.cli.export.local_export import Exported, export_locally
from sluice.cli.export.params_from_flags import make_params as make_flagged
from sluice.cli.export.progress import ProgressDisplay, shown_progress
from sluice.cli.export.remote_export import pull_remotely
from sluice.cli.formatting import json_of, say
from sluice.cli.server_options import Token, open_client
from sluice.cli.user_options import OPERATOR, Attributes, Permissions, read_attributes, read_user
from sluice.client import Client, Datasets
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Pulled
from sluice.domain.user import User
from sluice.ports.source import Slice, Source
from sluice.tables.batch import Batch
from sluice.tables.readers.batching import TableBatch
from sluice.tables.values.masks import Mask, find_masks, masked
from sluice.usecases.pulling.make_params import ChosenColumn, PullRequest, make_params
from sluice.usecases.pulling.read_source import SPLIT_ROWS_MIN

Columns = Annotated[
    str | None, typer.Option(metavar="NAME,…", help="Which of the dataset's columns, in this order; all by default.")
]

OwnFolder = Annotated[Path | None, folder_option()]
UserNamed = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help=f"For whom the table is read; here {OPERATOR} by default."),
]


def pull(
    context: typer.Context,
    name: DatasetName,
    definitions: OwnFolder = None,
    *,
    output: Output,
    columns: Columns = None,
    user: UserNamed = None,
    permissions: Permissions = None,
    attributes: Attributes = None,
    options: Options = None,
    file_format: OutputFormat = None,
    server: Server = None,
    token: Token = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
) -> None:
    """Read a table that is defined, and make a file of its rows; the file's name says which kind.

    The file appears under its name only when it is whole; a run that fails leaves nothing.
    It has what the user would get: columns are masked whose permission is not given.
    With --server the service reads the table, as it is defined there, for the user of the token,
    or with an API key of the scope act_for for the --user that is named.

    Examples:
      sluice pull orders --definitions /etc/sluice/definitions -o orders.xlsx
      sluice pull orders --definitions defs -o orders.csv.gz --columns id,amount --attribute tenant=acme
      sluice pull orders --server https://exports.example.com -o orders.xlsx
    """
    target = check_output(output, None)
    asked = make_flagged(target, (), types=(), options=options or (), format_name=file_format)
    chosen = read_names(columns)
    where = _where(context, definitions, server)
    with shown_progress() as progress:
        if isinstance(where, Path):
            found = load_definitions(where)
            asker = read_user(user or OPERATOR, permissions, attributes)
            exported = _pull_here(found, name, asker, asked, chosen, output=target, progress=progress)
        else:
            with open_client(where, token, progress.note) as client:
                datasets = _datasets_of(client, user, permissions, attributes)
                exported = pull_remotely(
                    datasets, name, asked, chosen, output=target, progress=progress, idempotency_key=idempotency_key
                )
    say(json_of(exported._asdict()) if as_json else summary(exported))


def _where(context: typer.Context, definitions: Path | None, server: str | None) -> Path | str:
    """Who reads: this process by the definitions, or a service. What the command line says goes before variables."""
    if definitions is not None and server is not None:
        sources = (context.get_parameter_source(given) for given in ("definitions", "server"))
        is_typed, is_server_typed = (source is not None and source.name == "COMMANDLINE" for source in sources)
        if is_typed is is_server_typed:
            detail = "with --definitions the table is read here, with --server by the service: leave one of them out"
            raise typer.BadParameter(detail, param_hint="--server")
        server = server if is_server_typed else None
    if server is not None:
        return server
    if definitions is None:
        detail = "--definitions DIR says what may be read here, --server URL which service reads it"
        raise typer.BadParameter(detail, param_hint="--definitions, --server")
    return definitions


def _pull_here(
    found: Definitions,
    name: str,
    asker: User,
    asked: ExportParams,
    chosen: Sequence[str],
    *,
    output: Path,
    progress: ProgressDisplay,
) -> Exported:
    dataset = found.find(name)
    request = PullRequest(
        format=asked.format,
        filename=asked.filename,
        columns=tuple(map(ChosenColumn, chosen)),
        options=asked.options,
    )
    params = make_params(dataset, asker, request)
    pulled = params.pulled
    assert pulled is not None  # as it was made
    params = msgspec.structs.replace(params, pulled=msgspec.structs.replace(pulled, is_sent=True))
    table = PulledTable(found.open_pulled(pulled), pulled, find_masks(pulled.masks, find_key))
    exported = export_locally(table, params, output=output, progress=progress)
    read_as = f"{name}, {pulled.consistency}" + (f" of {len(table.read_at)} moments" if len(table.read_at) > 1 else "")
    return exported._replace(read_as=read_as, types=types_of(params))


def _datasets_of(
    client: Client, user: str | None, permissions: list[str] | None, attributes: list[str] | None
) -> Datasets:
    """What the user may ask of the service. Raises ``typer.BadParameter``."""
    try:
        return client.datasets(user, permissions=permissions or (), attributes=read_attributes(attributes))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--user, --permission, --attribute") from None


class PulledTable:
    """Implements ``LocalTable`` by the rows of a source. How many there are is not known before the last."""

    size = None

    def __init__(self, source: Source, pulled: Pulled, masks: Sequence[Mask | None] = ()) -> None:
        self._source = source
        self._pulled = pulled
        self._masks = masks
        self.read_at: list[float] = []
        """The moment of each reading, once its first rows are asked for."""

    def position(self) -> int:
        return 0

    def batches(self, params: ExportParams, limits: Limits) -> Iterator[TableBatch]:
        """A batch for each slice: what is in a file does not depend on where its rows are cut."""
        del params, limits
        for part in self._slices():
            yield TableBatch(Batch.of_columns(masked(part.columns, self._masks), part.rows))

    def _slices(self) -> Iterator[Slice]:
        """All rows, one reading after the other."""
        is_split = self._pulled.consistency == "split"
        bounds = self._source.plan(self._pulled.splits, SPLIT_ROWS_MIN) if is_split else ()
        after = None
        for until in bounds or (None,):
            with self._source.reading(after, until) as slices:
                self.read_at.append(slices.read_at)
                yield from slices
            after = until
