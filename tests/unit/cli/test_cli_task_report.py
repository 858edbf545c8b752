"""Where a task is, since when, who acts next: for every state a task can be in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.cli.data_options import SweepInvoker
from sluice.cli.task.report import TaskReport, report_task
from sluice.cli.task.steps import next_step
from sluice.cli.task.text import page_of
from sluice.domain.attempts import COMPOSE
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases import lease
from sluice.usecases.composing.write_result import ComposeLease
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.upkeep.repair_task import release_lease
from tests.support.data_directory import compose, data_directory, open_task, seal


def acquire(ports: Ports, ref: TaskRef) -> ComposeLease:
    attempt = lease.acquire(ports, COMPOSE, find_task(ports, ref))
    assert attempt is not None
    return attempt


def sealed_task(ports: Ports) -> TaskRef:
    ref = open_task(ports)
    seal(ports, ref)
    return ref


def failed_task(ports: Ports, code: ErrorCode = ErrorCode.CHUNK_MISSING) -> TaskRef:
    ref = sealed_task(ports)
    lease.fail(ports, acquire(ports, ref), SluiceError(code))
    return ref


def test_an_open_task_waits_for_its_sender_and_shows_the_gaps(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        report = report_task(ports, open_task(ports, sequences=(1, 4, 6)))
    assert (report.state, report.next.who, report.rows_received) == ("open", "sender", 9)
    assert (report.batches.received, report.batches.total) == (3, None)
    assert (report.batches.missing, report.batches.missing_count) == ([2, 3, 5], 3)
    assert "missing below the highest: 2, 3, 5" in page_of(report)


def test_a_sealed_task_waits_for_a_composer(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        report = report_task(ports, sealed_task(ports))
    assert (report.state, report.next.who) == ("sealed", "composer")
    assert (report.batches.total, report.batches.missing, report.attempts) == (2, [], [])
    assert report.since == report.sealed_at


def test_a_composing_task_shows_who_holds_it_and_how_far_it_is(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = sealed_task(ports)
        attempt = acquire(ports, ref)
        attempt.progress.rows_done = 3
        lease.heartbeat(ports, attempt)
        report = report_task(ports, ref)
    assert (report.state, report.epoch, report.owner, report.phase) == ("composing", 1, attempt.owner, "rendering")
    assert (report.rows_written, report.progress_percent) == (3, 50.0)
    assert [(one.outcome, one.rows_done) for one in report.attempts] == [("running", 3)]
    assert report.lease_left_s is not None
    assert report.lease_left_s > 0


def test_each_attempt_shows_how_it_ended(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = sealed_task(ports)
        acquire(ports, ref)
        release_lease(ports, ref)
        second = acquire(ports, ref)
        second.progress.rows_done, second.progress.parts_done = 5, 2
        lease.release(ports, second, OutcomeUnknown())
        lease.fail(ports, acquire(ports, ref), SluiceError(ErrorCode.CHUNK_CORRUPT))
        report = report_task(ports, ref)
    assert [(one.epoch, one.outcome) for one in report.attempts] == [
        (1, "ended without a word"),
        (2, "released"),
        (3, "failed"),
    ]
    assert (report.attempts[1].rows_done, report.attempts[1].parts_done) == (5, 2)
    assert [one.error.code if one.error else None for one in report.attempts] == [
        None,
        "STORE_UNAVAILABLE",
        "CHUNK_CORRUPT",
    ]


@pytest.mark.parametrize(
    ("code", "who", "advice"),
    [
        (ErrorCode.CHUNK_MISSING, "operator", "sluice task retry"),
        (ErrorCode.INVALID_VALUE, "client", "corrected"),
        (ErrorCode.STORE_UNAVAILABLE, "platform", "sluice task retry"),
    ],
)
def test_a_failed_task_says_who_must_act_and_how(tmp_path: Path, code: ErrorCode, who: str, advice: str) -> None:
    with data_directory(tmp_path) as ports:
        report = report_task(ports, failed_task(ports, code))
    assert (report.state, report.next.who) == ("failed", who)
    assert advice in report.next.what
    assert report.error is not None
    assert (report.error.code, report.error.who) == (code, who)
    assert f"sluice explain {code}" in page_of(report)


def test_a_released_task_shows_the_error_of_its_last_attempt(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = sealed_task(ports)
        lease.release(ports, acquire(ports, ref), OutcomeUnknown())
        report = report_task(ports, ref)
    assert report.state == "sealed"
    assert report.error is not None
    assert report.error.code == "STORE_UNAVAILABLE"


def test_a_completed_task_shows_its_file(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = sealed_task(ports)
        compose(ports, ref)
        task = find_task(ports, ref)
        report = report_task(ports, ref)
    assert report.result is not None
    assert (report.result.sha256, report.result.rows, report.error) == (task.result_sha256, 6, None)
    assert (report.next.who, report.since) == ("client", report.finished_at)
    assert task.result_sha256 in page_of(report)


def test_cancelled_and_deleted_tasks_need_nobody(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        cancelled = sealed_task(ports)
        cancel_export(ports, cancelled)
        deleted = sealed_task(ports)
        compose(ports, deleted)
        delete_export(ports, deleted)
        reports = [report_task(ports, ref) for ref in (cancelled, deleted)]
    assert [(report.state, report.next.who) for report in reports] == [("cancelled", "nobody"), ("expired", "nobody")]
    assert reports[1].deleted_at is not None


def test_a_task_that_no_sweeper_looks_after_is_noticed(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        task = find_task(ports, sealed_task(ports))
    assert next_step(task, task.due_at + 60).overdue_s == 0
    assert next_step(task, task.due_at + 61).overdue_s == 61


def test_every_report_becomes_a_page(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        refs = [open_task(ports), sealed_task(ports), failed_task(ports)]
        reports: list[TaskReport] = [report_task(ports, ref) for ref in refs]
    for report in reports:
        page = page_of(report)
        assert report.task_id in page
        assert report.since in page


def test_a_bell_makes_a_sealed_task_due_at_once(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = sealed_task(ports)
        trigger = SweepInvoker()
        trigger.invoke(ManifestRef(ref, find_task(ports, ref).man_sha), epoch=1)
        assert ports.tasks.due(ports.clock.now(), limit=10).alternating(10) == []
        trigger.plug(ports)
        trigger.invoke(ManifestRef(ref, find_task(ports, ref).man_sha), epoch=1)
        assert ports.tasks.due(ports.clock.now(), limit=10).alternating(10) == [ref]


def test_a_bell_leaves_the_composer_at_work_alone(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = sealed_task(ports)
        attempt = acquire(ports, ref)
        trigger = SweepInvoker()
        trigger.plug(ports)
        trigger.invoke(ManifestRef(ref, find_task(ports, ref).man_sha), epoch=2)
        lease.heartbeat(ports, attempt)
        assert find_task(ports, ref).owner == attempt.owner


def test_a_bell_for_a_task_that_ended_changes_nothing(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = failed_task(ports)
        before = find_task(ports, ref)
        trigger = SweepInvoker()
        trigger.plug(ports)
        trigger.invoke(ManifestRef(ref, before.man_sha), epoch=2)
        after = find_task(ports, ref)
    assert after == before
    assert after.state is State.FAILED
