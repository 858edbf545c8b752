"""What the journal says of an export's way, and of one that goes wrong."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import sluice
from sluice.adapters.forwarding_store import ForwardingStore
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import OutcomeUnknown
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

SOURCE = Path(sluice.__file__).parent
TABLES_OF_EVENTS = {"event_levels.py", "metrics.py"}
"""These say something of every event and record none."""


class BadUploads(ForwardingStore):
    """A store whose parts get no answer, and that then cannot abort either if ``aborts`` is False."""

    def __init__(self, ports: Ports, *, aborts: bool = True) -> None:
        super().__init__(ports.objects)
        self.aborts = aborts

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        raise OutcomeUnknown("a reset")

    def abort_upload(self, upload: Upload) -> None:
        if not self.aborts:
            raise OutcomeUnknown("another reset")
        super().abort_upload(upload)


class CancelsAtTheEnd(ForwardingStore):
    """A store during whose last call the export is cancelled."""

    def __init__(self, ports: Ports, ref: TaskRef) -> None:
        super().__init__(ports.objects)
        self._cancel = partial(cancel_export, ports, ref)

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        super().complete_upload(upload, receipts)
        self._cancel()


def journal_of(ports: Ports) -> RecordedJournal:
    assert isinstance(ports.journal, RecordedJournal)
    return ports.journal


def sealed(ports: Ports) -> Task:
    params = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("n"),))
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("1",), ("2",)], 1))
    return close_export(ports, ref, CloseRequest(1, 2))


def test_an_export_that_goes_well_is_recorded_step_by_step() -> None:
    ports = memory_ports(FakeClock())
    task = sealed(ports)
    assert compose_export(ports, ManifestRef(task.ref, task.man_sha)) is Outcome.COMPLETED
    journal = journal_of(ports)
    assert journal.events() == [
        Event.TASK_CREATED,
        Event.BATCH_RECEIVED,
        Event.BATCH_PROCESSED,
        Event.TASK_SEALED,
        Event.TASK_STARTED,
        Event.ATTEMPT_STARTED,
        Event.UPLOAD_STARTED,
        Event.FILE_CREATED,
        Event.RECORDS_WRITTEN,
        Event.UPLOAD_PART,
        Event.FILE_WRITTEN,
        Event.FILE_FINALIZED,
        Event.UPLOAD_COMPLETED,
        Event.FILE_CLOSED,
        Event.TASK_COMPLETED,
    ]
    assert [fields["rows"] for fields in journal.of(Event.RECORDS_WRITTEN)] == [2]
    assert [fields["bytes"] for fields in journal.of(Event.FILE_WRITTEN)] == [
        ports.objects.head(_key(ports, task)).size
    ]
    assert [fields["whole"] for fields in journal.of(Event.FILE_CLOSED)] == [True]
    assert {fields["task_id"] for _, fields in journal.entries} == {task.task_id}


def test_a_second_attempt_does_not_start_the_task_again() -> None:
    ports = memory_ports(FakeClock())
    task = sealed(ports)
    bad = replace(ports, objects=BadUploads(ports))
    assert compose_export(bad, ManifestRef(task.ref, task.man_sha)) is Outcome.RELEASED
    assert compose_export(ports, ManifestRef(task.ref, task.man_sha)) is Outcome.COMPLETED
    events = journal_of(ports).events()
    assert (events.count(Event.TASK_STARTED), events.count(Event.ATTEMPT_STARTED)) == (1, 2)


@pytest.mark.parametrize("aborts", [True, False])
def test_an_upload_that_fails_is_recorded_with_what_failed(aborts: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    ports = memory_ports(FakeClock())
    task = sealed(ports)
    bad = replace(ports, objects=BadUploads(ports, aborts=aborts))
    assert compose_export(bad, ManifestRef(task.ref, task.man_sha)) is Outcome.RELEASED
    journal = journal_of(ports)
    assert [str(fields["error"]) for fields in journal.of(Event.UPLOAD_FAILED)] == ["a reset"]
    assert [str(fields["error"]) for fields in journal.of(Event.UPLOAD_ERROR)] == ["another reset"] * (not aborts)
    assert [fields["whole"] for fields in journal.of(Event.FILE_CLOSED)] == [False]
    assert journal.of(Event.WRITE_ERROR) == []


def test_an_attempt_that_is_fenced_is_recorded_as_over() -> None:
    ports = memory_ports(FakeClock())
    task = sealed(ports)
    fenced = replace(ports, objects=CancelsAtTheEnd(ports, task.ref))
    assert compose_export(fenced, ManifestRef(task.ref, task.man_sha)) is Outcome.FENCED
    assert len(journal_of(ports).of(Event.ATTEMPT_FENCED)) == 1
    (attempt,) = ports.tasks.read_attempts(task.ref)
    assert (attempt.outcome, attempt.ended_at) == ("fenced", ports.clock.now())


def test_a_file_that_cannot_be_written_is_recorded_with_why() -> None:
    ports = memory_ports(FakeClock())
    task = sealed(ports)
    for chunk in [found.key for found in ports.objects.list("in/") if ".manifest" not in found.key]:
        ports.objects.delete([chunk])
    assert compose_export(ports, ManifestRef(task.ref, task.man_sha)) is Outcome.FAILED
    (failure,) = journal_of(ports).of(Event.WRITE_ERROR)
    assert isinstance(failure["error"], SluiceError)
    assert failure["error"].code is ErrorCode.CHUNK_MISSING
    assert journal_of(ports).of(Event.UPLOAD_FAILED) == []


@pytest.mark.slow
def test_every_event_is_recorded_somewhere() -> None:
    passed_on = {
        name.attr
        for path in SOURCE.rglob("*.py")
        if path.name not in TABLES_OF_EVENTS
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
        for name in ast.walk(argument)
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id == "Event"
    }
    assert {event.name for event in Event} - passed_on == set()


def test_a_commissioned_event_without_a_subject_is_on_the_page_with_its_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    reasons = {
        name.strip(): reason for name, reason in re.findall(r"^\| ([A-Za-z, ]+) \| (.+) \|$", page, re.MULTILINE)
    }
    assert {event.value for event in Event} & reasons.keys() == set()
    assert len(reasons["TempFileCreated, TempFileDeleted"]) > 20


def _key(ports: Ports, task: Task) -> str:
    row = ports.tasks.read(task.ref)
    assert row is not None
    return row.result_key
