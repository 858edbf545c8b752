"""A refused batch leaves nothing behind that no claim can ever name, and takes nothing away that one names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import note_refusal, put_batch
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")
SHEETS = ExportParams(
    format=ExportFormat.XLSX,
    filename="a.xlsx",
    sheets=(TableSpec("one", PARAMS.columns), TableSpec("two", PARAMS.columns)),
)


class Sender:
    def __init__(self, params: ExportParams = PARAMS) -> None:
        self.clock = FakeClock()
        self.ports: Ports = memory_ports(self.clock)
        self.cache = ParamsCache(self.ports)
        self.ref: TaskRef = open_export(self.ports, TenantId("acme"), OpenRequest(params)).task.ref
        self.put(1, "first")

    def put(self, sequence: int, text: str, *, sheet: int = 0) -> None:
        batch = Batch.of_rows([(text,)], 1)
        put_batch(self.ports, self.cache, self.ref, sequence=sequence, batch=batch, sheet=sheet)

    def refused(self, sequence: int, text: str, *, sheet: int = 0) -> ErrorCode:
        with pytest.raises(SluiceError) as caught:
            self.put(sequence, text, sheet=sheet)
        return caught.value.code

    def chunks(self) -> list[str]:
        return [item.key for item in self.ports.objects.list("in/") if item.key.endswith(".chunk")]


def close(sender: Sender) -> None:
    close_export(sender.ports, sender.ref, CloseRequest())


def finish(sender: Sender) -> None:
    task = close_export(sender.ports, sender.ref, CloseRequest())
    assert compose_export(sender.ports, ManifestRef(task.ref, task.man_sha)) is Outcome.COMPLETED


def cancel(sender: Sender) -> None:
    cancel_export(sender.ports, sender.ref)


def delete(sender: Sender) -> None:
    finish(sender)
    delete_export(sender.ports, sender.ref)


ENDS = [
    (close, ErrorCode.TASK_CLOSED),
    (finish, ErrorCode.TASK_CLOSED),
    (cancel, ErrorCode.CANCELLED),
    (delete, ErrorCode.TASK_DELETED),
]


@pytest.mark.parametrize(("end", "code"), ENDS)
def test_batches_that_come_too_late_leave_no_chunk(end: Callable[[Sender], None], code: ErrorCode) -> None:
    sender = Sender()
    end(sender)
    before = sender.chunks()
    for sequence in range(2, 40):
        assert sender.refused(sequence, f"late {sequence}") is code
    assert sender.chunks() == before


def test_a_refusal_shows_in_the_status_of_an_open_task_alone() -> None:
    sender = Sender()
    note_refusal(sender.ports, sender.ref, SluiceError(ErrorCode.INVALID_VALUE, row=2))
    task = find_task(sender.ports, sender.ref)
    assert (task.state, task.last_error_code) == (State.OPEN, ErrorCode.INVALID_VALUE)
    cancel(sender)
    before = find_task(sender.ports, sender.ref)
    note_refusal(sender.ports, sender.ref, SluiceError(ErrorCode.BATCH_CONFLICT, sequence=1))
    assert find_task(sender.ports, sender.ref) == before


def test_another_version_of_a_batch_leaves_no_chunk() -> None:
    sender = Sender()
    before = sender.chunks()
    for number in range(40):
        assert sender.refused(1, f"version {number}") is ErrorCode.BATCH_CONFLICT
    assert sender.chunks() == before
    finish(sender)


def test_the_same_rows_for_another_sheet_keep_the_chunk_that_they_are() -> None:
    sender = Sender(SHEETS)
    before = sender.chunks()
    assert sender.refused(1, "first", sheet=1) is ErrorCode.BATCH_CONFLICT
    assert sender.chunks() == before
    finish(sender)


def test_a_batch_that_was_acknowledged_and_comes_again_after_the_end_is_left_to_the_sweeper() -> None:
    sender = Sender()
    cancel(sender)
    before = sender.chunks()
    assert sender.refused(1, "first") is ErrorCode.CANCELLED
    assert sender.chunks() == before
    sweep_tasks(sender.ports)
    assert sender.chunks() == []


def test_a_batch_of_a_task_whose_row_is_gone_is_left_to_the_weekly_walk() -> None:
    """Its key may be opened anew at this moment, and the same batch be acknowledged."""
    sender = Sender()
    sender.ports.tasks.remove(sender.ref, Guard(state=State.OPEN))
    assert sender.refused(2, "late") is ErrorCode.TASK_NOT_FOUND
    assert len(sender.chunks()) == 2
