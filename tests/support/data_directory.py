"""A service's directory with tasks in it, made through the use cases, for tests of what acts beside a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import Task
from sluice.ports.outside import Outside
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.compose_export import Outcome, compose_export
from sluice.usecases.find_task import Definitions, find_task
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.wiring.build import open_outside
from sluice.wiring.settings import Settings
from sluice.wiring.settings_schema import Storage
from tests.support.recorded_journal import RecordedJournal

PARAMS = ExportParams(format=ExportFormat.CSV, filename="orders.csv", columns=(ColumnSpec("id"), ColumnSpec("name")))


@contextmanager
def data_directory(path: Path) -> Iterator[Outside]:
    """Open the stores below ``path`` as a service does, with nobody who composes."""
    with open_outside(Settings(storage=Storage(data_directory=str(path))), RecordedJournal()) as outside:
        yield outside


def open_task(
    outside: Outside,
    *,
    tenant: str = "shop",
    sequences: Sequence[int] = (1, 2),
    rows: int = 3,
    file_format: ExportFormat = ExportFormat.CSV,
) -> TaskRef:
    """A task with a batch of ``rows`` rows under each sequence."""
    params = msgspec.structs.replace(PARAMS, format=file_format)
    ref = open_export(outside, TenantId(tenant), OpenRequest(params)).task.ref
    for sequence in sequences:
        batch = Batch.of_rows([(str(row), f"name {row}") for row in range(rows)], 2)
        put_batch(outside, Definitions(outside), ref, sequence=sequence, batch=batch)
    return ref


def seal(outside: Outside, ref: TaskRef) -> Task:
    return close_export(outside, ref, CloseRequest())


def compose(outside: Outside, ref: TaskRef) -> Outcome:
    return compose_export(outside, ManifestRef(ref, find_task(outside, ref).man_sha))
