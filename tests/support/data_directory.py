"""A service's directory with tasks in it, made through the use cases, for tests of what acts beside a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sluice.app.backends import open_ports
from sluice.app.settings.schema import Storage
from sluice.app.settings.validation import Settings
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.recorded_journal import RecordedJournal

PARAMS = ExportParams(format=ExportFormat.CSV, filename="orders.csv", columns=(ColumnSpec("id"), ColumnSpec("name")))


@contextmanager
def data_directory(path: Path) -> Iterator[Ports]:
    """Open the stores below ``path`` as a service does, with nobody who composes."""
    with open_ports(Settings(storage=Storage(data_directory=str(path))), RecordedJournal()) as ports:
        yield ports


def open_task(
    ports: Ports,
    *,
    tenant: str = "shop",
    sequences: Sequence[int] = (1, 2),
    rows: int = 3,
    file_format: ExportFormat = ExportFormat.CSV,
) -> TaskRef:
    """A task with a batch of ``rows`` rows under each sequence."""
    params = msgspec.structs.replace(PARAMS, format=file_format)
    ref = open_export(ports, TenantId(tenant), OpenRequest(params)).task.ref
    for sequence in sequences:
        batch = Batch.of_rows([(str(row), f"name {row}") for row in range(rows)], 2)
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch)
    return ref


def seal(ports: Ports, ref: TaskRef) -> Task:
    return close_export(ports, ref, CloseRequest())


def compose(ports: Ports, ref: TaskRef) -> Outcome:
    return compose_export(ports, ManifestRef(ref, find_task(ports, ref).man_sha))
