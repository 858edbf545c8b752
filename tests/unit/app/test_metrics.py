"""Metrics: what each event counts, and that nothing from outside becomes a label."""

from __future__ import annotations

import re
import threading
from mmap import mmap
from pathlib import Path

import pytest

from sluice import __version__
from sluice.app.telemetry.metrics import CONTENT_TYPE, DROPPED_TRIGGERS, NOT_MEASURED, SWEPT, UPDATES, MetricsJournal
from sluice.app.telemetry.process_gauges import DiskGauge, resident_bytes
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases.lease import Outcome
from sluice.usecases.upkeep.sweep_tasks import Swept
from tests.support.fake_clock import START, FakeClock

CANARY = "canary5cf1d0"
MIB = 1024 * 1024

BUSY_TRIGGER: dict[str, float] = {
    'sluice_triggers_total{result="busy"}': 1,
    'export_bells_total{result="busy"}': 1,
}
COMMISSIONED = {
    "export_active_tasks": "gauge",
    "export_queued_tasks": "gauge",
    "export_duration_seconds": "histogram",
    "export_upload_duration_seconds": "histogram",
    "export_records_processed_total": "counter",
    "export_errors_total": "counter",
    "export_upload_errors_total": "counter",
    "export_status_queries_total": "counter",
    "export_memory_bytes": "gauge",
    "export_disk_bytes": "gauge",
}
FOR_ON_CALL = {
    "sluice_batches_total": "counter",
    "sluice_batch_rows": "histogram",
    "sluice_batch_bytes": "histogram",
    "sluice_closes_total": "counter",
    "sluice_auth_failures_total": "counter",
    "sluice_rate_limited_total": "counter",
    "sluice_task_transitions_total": "counter",
    "sluice_task_close_to_complete_seconds": "histogram",
    "sluice_tasks_failed_total": "counter",
    "sluice_attempts_total": "counter",
    "sluice_attempt_number": "histogram",
    "sluice_compose_rows_total": "counter",
    "sluice_compose_bytes_total": "counter",
    "sluice_part_upload_seconds": "histogram",
    "sluice_peak_rss_bytes": "gauge",
    "sluice_triggers_total": "counter",
    "export_bells_total": "counter",  # the old name of the one before
    "sluice_sweep_last_success_timestamp_seconds": "gauge",
    "sluice_sweep_seconds": "histogram",
    "sluice_sweep_rescued_total": "counter",
    "sluice_fence_rejections_total": "counter",
    "sluice_checksum_failures_total": "counter",
    "sluice_urls_issued_total": "counter",
    "sluice_requests_total": "counter",
    "sluice_request_duration_seconds": "histogram",
}


def a_journal() -> MetricsJournal:
    return MetricsJournal(clock=FakeClock())


def samples(journal: MetricsJournal) -> dict[str, float]:
    """Read the text form line by line: name with labels, and value."""
    lines = journal.render_new().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def counted(event: Event, /, **fields: object) -> dict[str, float]:
    """What one event changes in a fresh set of metrics."""
    journal = a_journal()
    before = samples(journal)
    journal.record(event, **fields)
    after = samples(journal)
    ignored = ("export_memory_bytes",)
    return {
        name: value
        for name, value in after.items()
        if value != before.get(name, 0) and not name.partition("{")[0].endswith(ignored) and "_bucket" not in name
    }


@pytest.mark.parametrize(("name", "kind"), sorted((COMMISSIONED | FOR_ON_CALL).items()))
def test_every_promised_metric_is_there_from_the_start(name: str, kind: str) -> None:
    assert f"# TYPE {name} {kind}\n" in a_journal().render().decode()


def test_every_event_is_measured_or_said_not_to_be() -> None:
    assert set(UPDATES) | NOT_MEASURED == set(Event)
    assert not set(UPDATES) & NOT_MEASURED


@pytest.mark.parametrize("event", sorted(NOT_MEASURED))
def test_events_that_are_not_measured_change_nothing(event: Event) -> None:
    assert counted(event, task_id="t", rows=1, duration_s=1) == {}


def test_label_values_are_those_of_the_use_cases() -> None:
    assert {member.value for member in Swept} == SWEPT
    assert {member.value for member in Outcome} >= DROPPED_TRIGGERS


def test_a_stored_batch() -> None:
    assert counted(Event.BATCH_PROCESSED, task_id="t", tenant="x", sequence=1, rows=500, bytes=MIB, duration_s=0.5) == {
        'sluice_batches_total{result="accepted"}': 1,
        "export_records_processed_total": 500,
        "sluice_batch_rows_count": 1,
        "sluice_batch_rows_sum": 500,
        "sluice_batch_bytes_count": 1,
        "sluice_batch_bytes_sum": MIB,
        "sluice_batch_seconds_count": 1,
        "sluice_batch_seconds_sum": 0.5,
    }


def test_a_repeated_batch_is_no_new_row() -> None:
    assert counted(Event.BATCH_REPLAYED, rows=500, bytes=1) == {'sluice_batches_total{result="replayed"}': 1}


@pytest.mark.parametrize(
    ("code", "result"), [(ErrorCode.BATCH_CONFLICT, "conflict"), (ErrorCode.ROW_WIDTH_MISMATCH, "rejected")]
)
def test_a_refused_batch(code: ErrorCode, result: str) -> None:
    assert counted(Event.BATCH_REJECTED, error=SluiceError(code)) == {
        f'sluice_batches_total{{result="{result}"}}': 1,
        f'export_errors_total{{code="{code.value}"}}': 1,
    }


def test_a_finished_file() -> None:
    fields = {"task_id": "t", "format": "csv", "rows": 10_001, "bytes": 7, "epoch": 2, "duration_s": 3.0}
    assert counted(Event.TASK_COMPLETED, **fields) == {
        'export_duration_seconds_count{format="csv"}': 1,
        'export_duration_seconds_sum{format="csv"}': 3,
        'sluice_task_close_to_complete_seconds_count{format="csv",size_class="medium"}': 1,
        'sluice_task_close_to_complete_seconds_sum{format="csv",size_class="medium"}': 3,
        'sluice_task_transitions_total{from="composing",to="completed"}': 1,
        'sluice_attempts_total{outcome="completed"}': 1,
        "sluice_attempt_number_count": 1,
        "sluice_attempt_number_sum": 2,
        "sluice_compose_rows_total": 10_001,
        "sluice_compose_bytes_total": 7,
    }


@pytest.mark.parametrize(
    ("rows", "size"), [(0, "small"), (10_000, "small"), (1_000_000, "medium"), (1_000_001, "large")]
)
def test_files_are_told_apart_by_size(rows: int, size: str) -> None:
    names = counted(Event.TASK_COMPLETED, format="xlsx", rows=rows, duration_s=1)
    assert f'sluice_task_close_to_complete_seconds_count{{format="xlsx",size_class="{size}"}}' in names


def test_a_failed_task() -> None:
    assert counted(Event.TASK_FAILED, task_id="t", error_code="CHUNK_CORRUPT") == {
        'export_errors_total{code="CHUNK_CORRUPT"}': 1,
        'sluice_tasks_failed_total{error_code="CHUNK_CORRUPT"}': 1,
        'sluice_attempts_total{outcome="failed"}': 1,
        'sluice_checksum_failures_total{where="chunk"}': 1,
        'sluice_task_transitions_total{from="other",to="failed"}': 1,
    }


def test_a_task_out_of_attempts_failed_in_none() -> None:
    assert 'sluice_attempts_total{outcome="failed"}' not in counted(Event.TASK_FAILED, error_code="ATTEMPTS_EXHAUSTED")


@pytest.mark.parametrize(
    ("event", "fields", "changes"),
    [
        (
            Event.TASK_CREATED,
            {"format": "csv", "columns": 3},
            {'sluice_task_transitions_total{from="none",to="open"}': 1},
        ),
        (
            Event.TASK_CREATED,
            {"source_task": "x"},
            {'sluice_task_transitions_total{from="none",to="sealed"}': 1},
        ),
        (
            Event.TASK_SEALED,
            {"rows": 5},
            {
                'sluice_closes_total{result="sealed"}': 1,
                'sluice_task_transitions_total{from="open",to="sealed"}': 1,
            },
        ),
        (
            Event.TASK_CANCELLED,
            {"from_state": "open"},
            {'sluice_task_transitions_total{from="open",to="cancelled"}': 1},
        ),
        (Event.TASK_EXPIRED, {}, {'sluice_task_transitions_total{from="other",to="expired"}': 1}),
        (
            Event.ATTEMPT_STARTED,
            {"task_id": "t", "from_state": "sealed"},
            {
                "export_active_tasks": 1,
                'sluice_triggers_total{result="started"}': 1,
                'export_bells_total{result="started"}': 1,
                'sluice_task_transitions_total{from="sealed",to="composing"}': 1,
            },
        ),
        (
            Event.ATTEMPT_FENCED,
            {"task_id": "t"},
            {'sluice_attempts_total{outcome="fenced"}': 1, "sluice_fence_rejections_total": 1},
        ),
        (
            Event.ATTEMPT_RELEASED,
            {"task_id": "t"},
            {
                'sluice_attempts_total{outcome="released"}': 1,
                'sluice_task_transitions_total{from="composing",to="sealed"}': 1,
            },
        ),
        (Event.WORKER_DIED, {"task_id": "t"}, {'sluice_attempts_total{outcome="silent"}': 1}),
        (Event.WORKER_DIED, {"at_start": True, "deaths": 1}, {"sluice_workers_died_at_start_total": 1}),
        (Event.WORKER_STARTED, {}, {"sluice_workers_started_total": 1}),
        (Event.MANIFEST_DROPPED, {"outcome": "busy"}, BUSY_TRIGGER),
        (Event.TASK_QUEUED, {"queued": 4, "active": 1}, {"export_queued_tasks": 4}),
        (Event.TASK_DEQUEUED, {"queued": 3, "active": 2}, {"export_queued_tasks": 3}),
        (Event.CONCURRENCY_LIMIT_REACHED, {}, {"sluice_concurrency_limited_total": 1}),
        (
            Event.UPLOAD_PART,
            {"bytes": 5, "duration_s": 0.25},
            {"sluice_part_upload_seconds_count": 1, "sluice_part_upload_seconds_sum": 0.25},
        ),
        (
            Event.UPLOAD_COMPLETED,
            {"duration_s": 2},
            {"export_upload_duration_seconds_count": 1, "export_upload_duration_seconds_sum": 2},
        ),
        (Event.UPLOAD_FAILED, {}, {"export_upload_errors_total": 1}),
        (Event.UPLOAD_ERROR, {}, {"export_upload_errors_total": 1}),
        (Event.STATUS_QUERIED, {"state": "open"}, {'export_status_queries_total{result="found"}': 1}),
        (Event.STATUS_NOT_FOUND, {}, {'export_status_queries_total{result="not_found"}': 1}),
        (Event.LINK_ISSUED, {}, {"sluice_urls_issued_total": 1}),
        (Event.VALIDATION_ERROR, {"error_code": "INVALID_VALUE"}, {'export_errors_total{code="INVALID_VALUE"}': 1}),
        (
            Event.REQUEST_REFUSED,
            {"error_code": "BATCHES_MISSING"},
            {'export_errors_total{code="BATCHES_MISSING"}': 1, 'sluice_closes_total{result="refused"}': 1},
        ),
        (Event.REQUEST_REFUSED, {"error_code": "NOT_READY"}, {'export_errors_total{code="NOT_READY"}': 1}),
        (Event.CALL_REPEATED, {}, {"sluice_store_retries_total": 1}),
        (Event.SYSTEM_ERROR, {"error": ValueError("x")}, {'export_errors_total{code="INTERNAL"}': 1}),
        (Event.AUTHENTICATION_FAILED, {"reason": "revoked"}, {'sluice_auth_failures_total{reason="revoked"}': 1}),
        (Event.AUTHORIZATION_FAILED, {}, {'sluice_auth_failures_total{reason="scope"}': 1}),
        (Event.RATE_LIMIT_REACHED, {"tenant": "x"}, {'sluice_rate_limited_total{scope="tenant"}': 1}),
        (Event.MEMORY_SNAPSHOT, {"peak_rss_bytes": 5}, {"sluice_peak_rss_bytes": 5}),
    ],
)
def test_what_an_event_counts(event: Event, fields: dict[str, object], changes: dict[str, float]) -> None:
    assert counted(event, **fields) == changes


def test_a_sweep_says_when_it_last_went_well_and_what_it_rescued() -> None:
    changes = counted(Event.SWEEP_FINISHED, swept={"lapsed_lease": 2, "garbage": 3}, duration_s=0.5)
    assert changes == {
        "sluice_sweep_last_success_timestamp_seconds": START,
        'sluice_swept_total{what="lapsed_lease"}': 2,
        'sluice_swept_total{what="garbage"}': 3,
        'sluice_sweep_rescued_total{reason="lapsed_lease"}': 2,
        "sluice_sweep_seconds_count": 1,
        "sluice_sweep_seconds_sum": 0.5,
    }


def test_renamed_series_are_counted_under_their_old_names_too() -> None:
    changes = counted(Event.SWEEP_FINISHED, swept={"lost_trigger": 2})
    del changes["sluice_sweep_last_success_timestamp_seconds"]
    assert changes == {
        'sluice_swept_total{what="lost_trigger"}': 2,
        'sluice_swept_total{what="lost_bell"}': 2,
        'sluice_sweep_rescued_total{reason="lost_trigger"}': 2,
        'sluice_sweep_rescued_total{reason="lost_bell"}': 2,
    }
    started = counted(Event.ATTEMPT_STARTED, task_id="t")
    assert started['sluice_triggers_total{result="started"}'] == started['export_bells_total{result="started"}'] == 1


def test_a_sweep_tells_how_many_tasks_it_could_not_move_on() -> None:
    assert counted(Event.SWEEP_FINISHED, swept={"error": 1}, put_off=3)["sluice_tasks_put_off"] == 3


def test_a_reconciliation_is_no_sweep() -> None:
    changes = counted(Event.SWEEP_FINISHED, reconciled_rows=9, overdue=1, orphans_removed=2, results_missing=3)
    assert changes == {
        "sluice_orphans_removed_total": 2,
        "sluice_results_missing": 3,
        "sluice_tasks_overdue": 1,
    }


@pytest.mark.parametrize(
    "end",
    [Event.TASK_COMPLETED, Event.TASK_FAILED, Event.TASK_CANCELLED, Event.ATTEMPT_FENCED, Event.ATTEMPT_RELEASED],
)
def test_active_tasks_go_up_and_down_and_count_a_task_once(end: Event) -> None:
    journal = a_journal()
    journal.record(Event.ATTEMPT_STARTED, task_id="a")
    journal.record(Event.ATTEMPT_STARTED, task_id="a")  # a takeover after an attempt that ended without a word
    journal.record(Event.ATTEMPT_STARTED, task_id="b")
    assert samples(journal)["export_active_tasks"] == 2
    journal.record(end, task_id="a")
    journal.record(end, task_id="a")
    assert samples(journal)["export_active_tasks"] == 1


def test_tasks_whose_end_is_never_seen_do_not_pile_up() -> None:
    journal = a_journal()
    for number in range(10_050):
        journal.record(Event.ATTEMPT_STARTED, task_id=str(number))
    assert samples(journal)["export_active_tasks"] == 10_000


def test_whoever_knows_is_asked_at_each_scrape() -> None:
    journal, known = a_journal(), {"active": 3, "queued": 7}
    journal.watch(active=lambda: known["active"], queued=lambda: known["queued"])
    journal.record(Event.ATTEMPT_STARTED, task_id="a")
    journal.record(Event.TASK_QUEUED, queued=99)
    first = samples(journal)
    known["active"] = 4
    assert (first["export_active_tasks"], first["export_queued_tasks"]) == (3, 7)
    assert samples(journal)["export_active_tasks"] == 4


def test_the_largest_memory_of_a_composer_is_kept() -> None:
    journal = a_journal()
    for peak in (5, 9, 7):
        journal.record(Event.MEMORY_SNAPSHOT, peak_rss_bytes=peak)
    assert samples(journal)["sluice_peak_rss_bytes"] == 9


@pytest.mark.parametrize("event", list(Event))
def test_no_event_makes_a_label_of_what_comes_from_outside(event: Event) -> None:
    journal = a_journal()
    names = ("tenant", "task_id", "format", "outcome", "reason", "error_code", "from_state", "result", "state")
    journal.record(event, **dict.fromkeys(names, CANARY), swept={CANARY: 1})
    assert CANARY not in journal.render().decode()


@pytest.mark.parametrize("event", list(Event))
def test_no_event_raises_or_counts_nonsense_whatever_its_fields(event: Event) -> None:
    names = ("rows", "bytes", "duration_s", "epoch", "queued", "peak_rss_bytes", "swept", "error", "overdue")
    for value in (None, "x", float("nan"), float("inf"), -5, True, [], {}, object()):
        found = counted(event, **dict.fromkeys(names, value))
        assert {name: number for name, number in found.items() if "_sum" in name} == {}, value


def test_a_store_that_failed_is_told_from_a_bug() -> None:
    assert counted(Event.SYSTEM_ERROR, error=OutcomeUnknown("EIO")) == {
        'export_errors_total{code="STORE_UNAVAILABLE"}': 1
    }


def test_a_stream_that_broke_off_without_a_code_is_not_our_error() -> None:
    assert counted(Event.STREAM_ERROR, reason="the sender went away") == {'export_errors_total{code="other"}': 1}


def test_requests_are_counted_by_route_and_status() -> None:
    journal = a_journal()
    journal.observe_request("PUT", "/v1/exports/{id}/batches/{sequence}", 200, 0.25)
    journal.observe_request("gRPC", "/export.ExportService/PutBatch", "OK", 0.25)
    found = {name: value for name, value in samples(journal).items() if name.startswith("sluice_requests_total")}
    assert found == {
        'sluice_requests_total{code="200",method="PUT /v1/exports/{id}/batches/{sequence}"}': 1,
        'sluice_requests_total{code="OK",method="gRPC /export.ExportService/PutBatch"}': 1,
    }
    assert samples(journal)['sluice_request_duration_seconds_sum{method="gRPC /export.ExportService/PutBatch"}'] == 0.25


def test_a_caller_cannot_make_up_methods_or_routes_to_count() -> None:
    journal = a_journal()
    journal.observe_request(CANARY, "/v1/exports", 405, 0.1)
    journal.observe_request("GET", "", 404, 0.1)
    assert CANARY not in journal.render().decode()
    assert samples(journal)['sluice_requests_total{code="404",method="other"}'] == 1


def test_counting_from_many_threads_loses_nothing() -> None:
    journal = a_journal()

    def record_many() -> None:
        for _ in range(500):
            journal.record(Event.BATCH_PROCESSED, rows=2)

    threads = [threading.Thread(target=record_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(journal)["export_records_processed_total"] == 4_000


def test_two_journals_share_nothing() -> None:
    first, second = a_journal(), a_journal()
    first.record(Event.LINK_ISSUED)
    assert samples(second)["sluice_urls_issued_total"] == 0


def test_memory_is_measured_when_it_is_asked_for() -> None:
    assert samples(a_journal())["export_memory_bytes"] > MIB
    block = mmap(-1, 64 * MIB)  # of its own: what malloc() is given back, it may keep
    for at in range(0, len(block), 4096):
        block[at] = 1
    grown = resident_bytes()
    block.close()
    assert grown - resident_bytes() > 32 * MIB


def test_disk_is_measured_below_the_data_directory_even_before_it_exists(tmp_path: Path) -> None:
    journal = MetricsJournal(clock=FakeClock(), disk=DiskGauge(tmp_path / "a" / "b"))
    measured = samples(journal)
    assert measured["export_disk_bytes"] > 0
    assert measured["sluice_disk_free_bytes"] > 0


def test_the_text_form_is_what_its_content_type_says() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=")
    text = a_journal().render().decode()
    line = re.compile(r'(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.einfNa]+)')
    assert [wrong for wrong in text.splitlines() if not line.fullmatch(wrong)] == []


def test_only_commissioned_metrics_have_the_prefix_of_the_earlier_service() -> None:
    journal = a_journal()
    names = set(re.findall(r"^# TYPE (\w+)", journal.render_new().decode(), re.MULTILINE))
    assert {name for name in names if name.startswith("export_")} == {*COMMISSIONED, "export_bells_total"}
    assert {name.partition("_")[0] for name in names} == {"export", "sluice"}


def test_every_renamed_metric_is_there_under_its_old_name_with_the_same_value() -> None:
    journal = a_journal()
    journal.record(Event.BATCH_PROCESSED, rows=500, bytes=MIB, duration_s=0.5)
    journal.record(Event.LINK_ISSUED)
    lines = journal.render().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    kept = ("sluice_build_info", "sluice_store_retries", "sluice_workers_died_at_start")
    renamed = [name for name in values if name.startswith("sluice_") and not name.startswith(kept)]
    assert len(renamed) > 50
    assert {name: values[name] for name in renamed} == {
        name: values["export_" + name.removeprefix("sluice_")] for name in renamed
    }
    types = [line for line in lines if line.startswith("# TYPE ")]
    assert len({line.split(" ")[2] for line in types}) == len(types)


def test_the_release_is_a_metric_and_no_series_says_when_it_was_made() -> None:
    text = a_journal().render().decode()
    assert f'sluice_build_info{{version="{__version__}"}} 1.0' in text
    assert "_created" not in text
