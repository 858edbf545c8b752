"""`sluice pull`: a table that is defined becomes a file, here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import typer

from sluice.app.definitions import load_definitions
from sluice.app.secrets import find_key
from sluice.cli.data_options import AsJson
from sluice.cli.dataset_commands import DatasetName, Folder
from sluice.cli.export.command import Options, Output, OutputFormat, check_output, read_names, summary, types_of
from sluice.cli.export.local_export import export_locally
from sluice.cli.export.params_from_flags import make_params as make_flagged
from sluice.cli.export.progress import shown_progress
from sluice.cli.formatting import json_of, say
from sluice.cli.user_options import OPERATOR, Attributes, Permissions, UserName, read_user
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Pulled
from sluice.ports.source import Slice, Source
from sluice.tables.batch import Batch
from sluice.tables.readers.batching import TableBatch
from sluice.tables.values.masks import Mask, find_masks, masked
from sluice.usecases.pulling.make_params import ChosenColumn, PullRequest, make_params
from sluice.usecases.pulling.read_source import SPLIT_ROWS_MIN

Columns = Annotated[
    str | None, typer.Option(metavar="NAME,…", help="Which of the dataset's columns, in this order; all by default.")
]


def pull(
    name: DatasetName,
    definitions: Folder,
    *,
    output: Output,
    columns: Columns = None,
    user: UserName = OPERATOR,
    permissions: Permissions = None,
    attributes: Attributes = None,
    options: Options = None,
    file_format: OutputFormat = None,
    as_json: AsJson = False,
) -> None:
    """Read a table that is defined, and make a file of its rows; the file's name says which kind.

    The file appears under its name only when it is whole; a run that fails leaves nothing.
    It has what the user would get: columns are masked whose permission is not given.

    Examples:
      sluice pull orders --definitions /etc/sluice/definitions -o orders.xlsx
      sluice pull orders --definitions defs -o orders.csv.gz --columns id,amount --attribute tenant=acme
    """
    target = check_output(output, None)
    found = load_definitions(definitions)
    dataset = found.find(name)
    asked = make_flagged(target, (), types=(), options=options or (), format_name=file_format)
    request = PullRequest(
        format=asked.format,
        filename=asked.filename,
        columns=tuple(map(ChosenColumn, read_names(columns))),
        options=asked.options,
    )
    params = make_params(dataset, read_user(user, permissions, attributes), request)
    pulled = params.pulled
    assert pulled is not None  # as it was made
    params = msgspec.structs.replace(params, pulled=msgspec.structs.replace(pulled, is_sent=True))
    with shown_progress() as progress:
        table = PulledTable(found.open_pulled(pulled), pulled, find_masks(pulled.masks, find_key))
        exported = export_locally(table, params, output=target, progress=progress)
    read_as = f"{name}, {pulled.consistency}" + (f" of {len(table.read_at)} moments" if len(table.read_at) > 1 else "")
    exported = exported._replace(read_as=read_as, types=types_of(params))
    say(json_of(exported._asdict()) if as_json else summary(exported))


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
