"""`sluice dataset`: see which tables may become files, and whether their definitions hold."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from sluice.app.definitions import load_definitions
from sluice.app.secrets import find_key
from sluice.cli.data_options import AsJson
from sluice.cli.formatting import counted, json_of, lines_of, printable, say
from sluice.cli.user_options import OPERATOR, Attributes, Permissions, UserName, read_user
from sluice.domain.options import ExportFormat
from sluice.ports.source import Source, SourceError
from sluice.tables.values.masks import find_masks, masked
from sluice.usecases.pulling.make_params import PullRequest, make_params, probes_of

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="See which tables may become files, and whether their definitions hold.\n\nExamples:\n"
    "  sluice dataset check --definitions /etc/sluice/definitions\n"
    "  sluice dataset preview orders --definitions /etc/sluice/definitions --rows 5",
)


def folder_option() -> Any:
    """The option that names the folder of definitions."""
    return typer.Option(
        "--definitions", metavar="DIR", envvar="SLUICE_DEFINITIONS", help="Where connections/ and datasets/ are."
    )


Folder = Annotated[Path, folder_option()]
DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")]
PREVIEW_ROWS_MAX = 1_000


@commands.command("check")
def check(definitions: Folder) -> None:
    """Read all definitions, and begin to read each table: every mistake is named at once."""
    found = load_definitions(definitions)
    problems = []
    for name, dataset in sorted(found.datasets.items()):
        try:
            for conditions in ((), probes_of(dataset)):
                _begin(found.source_of(dataset, conditions))
        except SourceError as error:
            problems.append(f"{name}: {error}")
        else:
            say(f"{name}: {counted(len(dataset.columns), 'column')} of {printable(dataset.source.table)}")
    if problems:
        raise SourceError("; ".join(problems))
    say(f"{counted(len(found.datasets), 'dataset')}, {counted(len(found.connections), 'connection')}: no mistakes")


def _begin(source: Source) -> None:
    """Read the first rows. Raises ``SourceError``."""
    with source.reading() as slices:
        next(slices, None)


@commands.command("list")
def list_all(definitions: Folder, *, as_json: AsJson = False) -> None:
    """List the datasets."""
    found = load_definitions(definitions)
    if as_json:
        say(json_of(sorted(found.datasets)))
        return
    for name, dataset in sorted(found.datasets.items()):
        say(f"{name}  {printable(dataset.source.table)} of {dataset.source.connection}")


@commands.command("show")
def show(name: DatasetName, definitions: Folder, *, as_json: AsJson = False) -> None:
    """Show one dataset: its table, its key and its columns."""
    dataset = load_definitions(definitions).find(name)
    if as_json:
        say(json_of(dataset))
        return
    source = dataset.source
    facts = [
        ("table", f"{printable(source.table)} of {source.connection}"),
        ("key", ", ".join(map(printable, source.key))),
        ("consistency", source.consistency),
        *((printable(one.name), f"{one.type} {printable(one.spec().name)}".rstrip()) for one in dataset.columns),
    ]
    say("\n".join(lines_of(facts)))


@commands.command("preview")
def preview(
    name: DatasetName,
    definitions: Folder,
    rows: Annotated[int, typer.Option(min=1, max=PREVIEW_ROWS_MAX, help="How many.")] = 20,
    user: UserName = OPERATOR,
    permissions: Permissions = None,
    attributes: Attributes = None,
) -> None:
    """Print the first rows as JSON, one in each line, as a file of the user would have them."""
    found = load_definitions(definitions)
    request = PullRequest(format=ExportFormat.JSONL)
    params = make_params(found.find(name), read_user(user, permissions, attributes), request)
    assert params.pulled is not None  # as it was made
    headers = [column.name for column in params.columns]
    left, masks = rows, find_masks(params.pulled.masks, find_key)
    with found.open_pulled(params.pulled).reading() as slices:
        for part in slices:
            for row in islice(zip(*masked(part.columns, masks), strict=True), left):
                say(json_of(dict(zip(headers, row, strict=True)), is_line=True))
            left -= part.rows
            if left <= 0:
                return
