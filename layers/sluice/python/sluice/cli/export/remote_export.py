"""Lets a service make the file: the client does it, this says how far it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path

import msgspec
import typer

from sluice.cli.export.local_export import Exported, check_name
from sluice.cli.export.progress import ProgressDisplay
from sluice.cli.export.table_input import TableInput
from sluice.cli.formatting import counted, size
from sluice.client import UNREACHABLE, Client, Datasets, Export, Receipt, SluiceApiError, Status
from sluice.client.watched import WatchedExport
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnType


def export_remotely(
    table: TableInput,
    params: ExportParams,
    *,
    output: Path,
    progress: ProgressDisplay,
    client: Client,
    idempotency_key: str | None,
) -> Exported:
    """Send the rows and fetch the file.

    Under a given key a run goes on where another one broke off, if the input
    is the same. Without one, a run that fails before the file is whole
    cancels what it began.
    """
    export = _open(client, params, idempotency_key)
    with export.cancel_on_error() if idempotency_key is None else nullcontext():
        check_name(output, str(_send(export, table, params, progress).filename))
        done = _wait(export, progress)
    return _save(export, done, output, progress)


def pull_remotely(
    datasets: Datasets,
    name: str,
    params: ExportParams,
    columns: Sequence[str],
    *,
    output: Path,
    progress: ProgressDisplay,
    idempotency_key: str | None,
) -> Exported:
    """Have the service read a table that is defined there, and fetch the file; all columns where none are named.

    Under a given key a run goes on where another one broke off. Without one, the export of a run that fails is left:
    who asks for a dataset may not end what was asked for.
    """
    described = datasets.show(name)
    with _wrong_key_named():
        export = datasets.export(
            name,
            format=params.format,
            filename=params.filename,
            columns=columns,
            options=msgspec.to_builtins(params.options),
            idempotency_key=idempotency_key,
        )
    check_name(output, str(export.opened_as.filename))
    exported = _save(export, _wait(export, progress), output, progress)
    shown = {one.name: one for one in described.columns}
    typed = [shown[one] for one in columns or shown if one in shown]
    types = ", ".join(f"{one.label} {one.type}" for one in typed if one.type != ColumnType.STRING)
    return exported._replace(read_as=f"{name}, by the service", types=types)


def _wait(export: WatchedExport, progress: ProgressDisplay) -> Status:
    progress.stage("writing", 100)
    return export.wait(
        on_progress=lambda task: progress.reach(task.progress_percent, counted(task.rows_written, "row"))
    )


def _save(export: WatchedExport, done: Status, output: Path, progress: ProgressDisplay) -> Exported:
    """Fetch the file."""
    progress.stage("downloading", done.file_size_bytes)
    try:
        export.save_to(output, on_bytes=lambda count: progress.reach(count, size(count)))
    except SluiceApiError as error:
        if error.code == UNREACHABLE:
            error.detail += f"; the service keeps the whole file as task {export.id}"
        raise
    return Exported(
        rows=done.rows_written,
        bytes=done.file_size_bytes or 0,
        sha256=done.checksum_sha256 or "",
        warnings=dict(done.warnings),
        task_id=done.task_id,
        file=str(output),
    )


def _open(client: Client, params: ExportParams, idempotency_key: str | None) -> Export:
    columns = msgspec.to_builtins(params.columns)
    with _wrong_key_named():
        return client.open(
            format=params.format,
            filename=params.filename,
            columns=columns,
            options=msgspec.to_builtins(params.options),
            idempotency_key=idempotency_key,
        )


@contextmanager
def _wrong_key_named() -> Iterator[None]:
    """Name the option whose text is no key, of which the client raises ValueError."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--idempotency-key") from None


def _send(export: Export, table: TableInput, params: ExportParams, progress: ProgressDisplay) -> Status:
    """Put all batches; an error about a row has its line, as one that the reader raises."""
    progress.stage("sending", table.size)
    unsettled: deque[Sequence[int]] = deque()
    """The lines of the rows of the batches that are not stored yet."""
    rows = 0

    def batches() -> Iterator[list[tuple[str | None, ...]]]:
        for read in table.batches(params, Limits()):
            unsettled.append(read.lines)
            yield read.batch.to_rows()

    def show(receipt: Receipt) -> None:
        nonlocal rows
        rows += receipt.rows
        unsettled.popleft()
        progress.reach(table.position(), counted(rows, "row"))

    try:
        return export.send(batches(), on_batch=show)
    except SluiceApiError as error:
        row = error.facts.get("row")
        lines = list(chain.from_iterable(unsettled))
        if isinstance(row, int) and rows < row <= rows + len(lines):
            error.facts["line"] = lines[row - rows - 1]
        raise
