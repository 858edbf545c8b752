"""Makes a file in this process: the whole pipeline over a temporary store beside the output."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from sluice.adapters.directory.atomic_file import whole_file
from sluice.adapters.forwarding_store import ForwardingStore
from sluice.api.auth import LOCAL_TENANT
from sluice.app.backends import open_ports
from sluice.app.settings.schema import Storage
from sluice.app.settings.validation import Settings
from sluice.cli.export.progress import ProgressDisplay
from sluice.cli.formatting import counted, size
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.domain.task_errors import failure_of
from sluice.ports.bundle import Ports
from sluice.ports.object_store import ObjectStore
from sluice.tables.formats import filename_of
from sluice.tables.readers.batching import TableBatch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.ingest_table import ingest_table
from sluice.usecases.sending.open_export import OpenRequest

_ARCHIVE = ".zip"


class LocalTable(Protocol):
    """A table that is read once, from front to end, with one batch in memory."""

    @property
    def size(self) -> int | None:
        """What ``position`` is at the end; None where that is not known before."""

    def position(self) -> int:
        """How far it is read."""

    def batches(self, params: ExportParams, limits: Limits) -> Iterator[TableBatch]:
        """Yield the rows in the batches that a service would cut them into."""


class Exported(NamedTuple):
    """A file that is whole, under its own name."""

    rows: int
    bytes: int
    sha256: str
    warnings: dict[str, int]
    task_id: str
    file: str
    read_as: str = ""
    """How the input is written: its kind and, of CSV, its delimiter."""
    types: str = ""
    """The columns that are no texts, and what they are."""


class RecordingInvoker:
    """Implements ``Invoker`` by keeping the manifest for the caller, which composes it."""

    def __init__(self) -> None:
        self._manifest: ManifestRef | None = None

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        self._manifest = manifest

    def taken(self) -> ManifestRef:
        """The manifest that was triggered last."""
        assert self._manifest is not None, "closing a task triggers"
        return self._manifest


class LastError:
    """Implements ``Journal`` by keeping the last error, of which the task row has only the code."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def record(self, event: Event, **fields: object) -> None:  # noqa: ARG002 - the port's signature
        error = fields.get("error")
        if isinstance(error, Exception):
            self.error = error


class CountingStore(ForwardingStore):
    """Counts the objects read: the composer reads its manifest and then each chunk once."""

    def __init__(self, store: ObjectStore, on_chunk: Callable[[int], None]) -> None:
        super().__init__(store)
        self._on_chunk = on_chunk
        self._read = 0

    def get(self, key: str) -> bytes:
        self._read += 1
        self._on_chunk(self._read - 1)
        return super().get(key)


def export_locally(table: LocalTable, params: ExportParams, *, output: Path, progress: ProgressDisplay) -> Exported:
    """Open, put, close, compose, copy: what the service does, with nothing left but the file.

    Needs room beside the output for about twice the file and for the rows,
    compressed. Memory does not depend on the number of rows.
    """
    journal, trigger = LastError(), RecordingInvoker()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".sluice-", dir=output.parent))
        # Defaults, whatever the environment says of a service: the same rows give the same file anywhere.
        # The file has whatever room the disk has, since no service's batches need theirs there.
        settings = Settings(storage=Storage(data_directory=folder, min_free_bytes=0))
        ports = stack.enter_context(open_ports(settings, journal, invoker=trigger))
        progress.stage("reading", table.size)
        batches = _batches(table, params, ports.limits, progress)
        task = ingest_table(ports, ParamsCache(ports), LOCAL_TENANT, OpenRequest(params), batches)
        check_name(output, filename_of(task))
        progress.stage("writing", task.total_batches)
        compose_export(replace(ports, objects=CountingStore(ports.objects, progress.reach)), trigger.taken())
        task = find_task(ports, task.ref)
        if task.state is State.FAILED:
            raise failure_of(task)
        if task.state is not State.COMPLETED:
            raise journal.error or SluiceError(ErrorCode.INTERNAL)
        _copy(ports, task, output, progress=progress)
    return Exported(
        task.result_rows, task.result_size, task.result_sha256, dict(task.warnings), task.task_id, str(output)
    )


def check_name(output: Path, delivered: str) -> None:
    """Refuse an archive of workbooks that would be named like a workbook, and the reverse.

    Nothing is written under a name that was not given. Raises TOO_MANY_ROWS or INVALID_REQUEST.
    """
    wanted, made = output.suffix.lower() == _ARCHIVE, delivered.endswith(_ARCHIVE)
    if made and not wanted:
        raise SluiceError(
            ErrorCode.TOO_MANY_ROWS,
            f"the rows need several workbooks: name the output {output.stem}.zip, or raise workbook_rows_max",
        )
    if wanted and not made:
        detail = f"one workbook holds the rows: name the output {output.stem}.xlsx"
        raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field="output")


def _batches(
    table: LocalTable, params: ExportParams, limits: Limits, progress: ProgressDisplay
) -> Iterator[TableBatch]:
    """Yield the batches of the input, and show how far it is read whenever one of them was stored."""
    rows = 0
    for read in table.batches(params, limits):
        count = read.batch.rows
        yield read
        del read  # its memory, before the next one is read
        rows += count
        progress.reach(table.position(), counted(rows, "row"))


def _copy(ports: Ports, task: Task, output: Path, *, progress: ProgressDisplay) -> None:
    """Give the file its name once the copy has the checksum that was recorded."""
    progress.stage("saving", task.result_size)
    digest, written = hashlib.sha256(), 0
    with whole_file(output) as file:
        for block in ports.objects.read_range(task.result_key, 0, task.result_size):
            file.write(block)
            digest.update(block)
            written += len(block)
            progress.reach(written, size(written))
        if digest.hexdigest() != task.result_sha256:
            raise SluiceError(ErrorCode.RESULT_VERIFY_FAILED, "the copy is not what was written")
