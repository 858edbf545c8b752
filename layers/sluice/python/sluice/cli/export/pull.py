"""`sluice pull`: a table that is defined becomes a file, here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from sluice.app.definitions import load_definitions
from sluice.cli.data_options import AsJson
from sluice.cli.dataset_commands import DatasetName, Folder
from sluice.cli.export.command import Options, Output, OutputFormat, check_output, read_names, summary, types_of
from sluice.cli.export.local_export import export_locally
from sluice.cli.export.params_from_flags import make_params
from sluice.cli.export.progress import shown_progress
from sluice.cli.formatting import json_of, say
from sluice.domain.dataset import Dataset, DatasetColumn
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.ports.source import Slice
from sluice.tables.readers.batching import ReadRows, TableBatch, cut_batches
from sluice.tables.readers.records import RowShape, batch_of_rows

Columns = Annotated[
    str | None, typer.Option(metavar="NAME,…", help="Which of the dataset's columns, in this order; all by default.")
]


def pull(
    name: DatasetName,
    definitions: Folder,
    *,
    output: Output,
    columns: Columns = None,
    options: Options = None,
    file_format: OutputFormat = None,
    as_json: AsJson = False,
) -> None:
    """Read a table that is defined, and make a file of its rows; the file's name says which kind.

    The file appears under its name only when it is whole; a run that fails leaves nothing.

    Examples:
      sluice pull orders --definitions /etc/sluice/definitions -o orders.xlsx
      sluice pull orders --definitions defs -o orders.csv.gz --columns id,amount
    """
    target = check_output(output, None)
    found = load_definitions(definitions)
    dataset = choose_columns(found.find(name), read_names(columns))
    names = [column.spec().name for column in dataset.columns]
    params = make_params(target, names, types=(), options=options or (), format_name=file_format)
    params = msgspec.structs.replace(params, columns=tuple(column.spec() for column in dataset.columns))
    with found.source_of(dataset).reading() as slices, shown_progress() as progress:
        exported = export_locally(PulledTable(slices), params, output=target, progress=progress)
    exported = exported._replace(read_as=f"{name}, {dataset.source.consistency}", types=types_of(params))
    say(json_of(exported._asdict()) if as_json else summary(exported))


def choose_columns(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """The dataset with these of its columns. Raises ``typer.BadParameter`` for one that it does not have."""
    if not names:
        return dataset
    known: dict[str, DatasetColumn] = {column.name: column for column in dataset.columns}
    for name in names:
        if name not in known:
            raise typer.BadParameter(
                f"{dataset.dataset} has no column {name!r}; it has {', '.join(known)}", param_hint="--columns"
            )
    if len(set(names)) < len(names):
        raise typer.BadParameter("a column is named twice", param_hint="--columns")
    return msgspec.structs.replace(dataset, columns=tuple(known[name] for name in names))


class PulledTable:
    """Implements ``LocalTable`` by the rows of a source. How many there are is not known before the last."""

    size = None

    def __init__(self, slices: Iterator[Slice]) -> None:
        self._slices = slices

    def position(self) -> int:
        return 0

    def batches(self, params: ExportParams, limits: Limits) -> Iterator[TableBatch]:
        groups = (ReadRows(list(part.rows), range(0), part.bytes) for part in self._slices)
        return cut_batches(groups, RowShape.of(params, "", limits), limits, batch_of_rows)
