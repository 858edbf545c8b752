"""Every error code comes about through HTTP and through gRPC, and both say the same of it.

What is expected is written out here by hand: neither the table of answers nor
that of meanings is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice.app.telemetry.log_lines import JournalLines
from sluice.app.telemetry.metrics import MetricsJournal
from sluice.domain.errors import ErrorCode
from sluice.domain.events import Event, Level
from sluice.domain.options import ExportFormat
from tests.support.either_face import (
    FACES,
    GRPC,
    HTTP,
    BothApis,
    EitherApi,
    OverHttp,
    Refusal,
    both_faces,
    granted,
    refused,
)
from tests.support.error_scenarios import SCENARIOS, SECRET_CELL, SECRET_WORDS, Service, rows_of
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import Entry


class Expected(NamedTuple):
    http: int
    grpc: str
    who: str
    facts: dict[str, object]
    retry_s: int | None = None
    """None: a retry makes no sense."""


STORED = hashlib.sha256(b"\x93\x01\x01\x92\x92\xa11\xc4\x00\x92\xa8Hemlig-a\xc4\x00").hexdigest()[:32]
"""The name of the batch of one row ``1, Hemlig-a``, by the description of canonical rows."""

EXPECTED = {
    "IDEMPOTENCY_KEY_REUSED": Expected(409, "ALREADY_EXISTS", "client", {}),
    "TASK_NOT_FOUND": Expected(404, "NOT_FOUND", "client", {}),
    "TASK_NOT_FOUND/no id": Expected(404, "NOT_FOUND", "client", {}),
    "TASK_DELETED": Expected(410, "NOT_FOUND", "client", {}),
    "TASK_DELETED/its key": Expected(410, "NOT_FOUND", "client", {}),
    "SEQ_OUT_OF_RANGE": Expected(400, "INVALID_ARGUMENT", "client", {}),
    "SEQ_OUT_OF_RANGE/negative": Expected(400, "INVALID_ARGUMENT", "client", {}),
    "SEQ_OUT_OF_RANGE/large": Expected(400, "INVALID_ARGUMENT", "client", {}),
    "ROW_WIDTH_MISMATCH": Expected(400, "INVALID_ARGUMENT", "client", {"row": 2, "cells": 1, "columns": 2, "batch": 1}),
    "INVALID_VALUE": Expected(
        400, "INVALID_ARGUMENT", "client", {"row": 2, "column": "id", "column_type": "number", "batch": 1}
    ),
    "INVALID_TEXT": Expected(
        400, "INVALID_ARGUMENT", "client", {"row": 2, "column": "name", "reason": "nul", "batch": 1}
    ),
    "INVALID_TEXT/encoding": Expected(
        400, "INVALID_ARGUMENT", "client", {"row": 3, "column": "name", "reason": "unencodable", "batch": 1}
    ),
    "CELL_TOO_LONG": Expected(
        400, "INVALID_ARGUMENT", "client", {"row": 2, "column": "name", "units_max": 10, "batch": 1}
    ),
    # 4 bytes of frame, 5 of the first column, 2 + 1 + 2 around the 120 of the second
    "BATCH_TOO_LARGE": Expected(413, "RESOURCE_EXHAUSTED", "client", {"bytes": 134, "batch_bytes_max": 100}),
    "BATCH_TOO_LARGE/rows": Expected(413, "RESOURCE_EXHAUSTED", "client", {"batch_rows_max": 3}),
    "TOO_MANY_BATCHES": Expected(413, "RESOURCE_EXHAUSTED", "client", {"batches_max": 3}),
    "TOO_MANY_BATCHES/totals": Expected(413, "RESOURCE_EXHAUSTED", "client", {"batches_max": 3}),
    "TOO_MANY_ROWS": Expected(413, "RESOURCE_EXHAUSTED", "client", {"rows_max": 3}),
    "TOO_MANY_ROWS/sheet": Expected(413, "RESOURCE_EXHAUSTED", "client", {"rows": 2, "rows_max": 1}),
    "TOO_MANY_COLUMNS": Expected(400, "INVALID_ARGUMENT", "client", {"columns": 3, "columns_max": 2}),
    "UNSUPPORTED_FORMAT": Expected(
        400, "INVALID_ARGUMENT", "client", {"formats": [known.value for known in ExportFormat]}
    ),
    "UNSUPPORTED_ENCODING": Expected(415, "INVALID_ARGUMENT", "client", {"field": "options.csv_encoding"}),
    "CHECKSUM_MISMATCH": Expected(400, "INVALID_ARGUMENT", "client", {}),
    "BATCH_CONFLICT": Expected(409, "ALREADY_EXISTS", "client", {"sequence": 1, "stored_sha256": STORED}),
    "TASK_CLOSED": Expected(409, "FAILED_PRECONDITION", "client", {"state": "completed"}),
    "BATCHES_MISSING": Expected(409, "FAILED_PRECONDITION", "client", {"missing": [2, 4], "missing_count": 2}),
    "BATCHES_EXTRA": Expected(409, "FAILED_PRECONDITION", "client", {"extra": [2, 3], "extra_count": 2}),
    "TOTALS_MISMATCH": Expected(409, "FAILED_PRECONDITION", "client", {"rows_received": 2, "rows_closed": 5}),
    "TOTALS_MISMATCH/expected": Expected(
        409, "FAILED_PRECONDITION", "client", {"rows_received": 2, "rows_expected": 3}
    ),
    "TOTALS_MISSING": Expected(408, "UNAVAILABLE", "client", {"batches": 1}, retry_s=5),
    "ALREADY_CLOSED": Expected(409, "FAILED_PRECONDITION", "client", {"batches": 1, "rows": 2}),
    "ALREADY_COMPLETED": Expected(409, "FAILED_PRECONDITION", "client", {}),
    "NOT_READY": Expected(409, "FAILED_PRECONDITION", "client", {"state": "open", "retry_after_s": 2}, retry_s=2),
    "NOT_READY/render": Expected(409, "FAILED_PRECONDITION", "client", {"state": "open"}, retry_s=5),
    "EXPIRED": Expected(410, "FAILED_PRECONDITION", "client", {}),
    "EXPIRED/idle": Expected(410, "FAILED_PRECONDITION", "client", {"state": "expired"}),
    "CANCELLED": Expected(409, "FAILED_PRECONDITION", "client", {"state": "cancelled"}),
    "CHUNK_MISSING": Expected(500, "DATA_LOSS", "operator", {}),
    "CHUNK_CORRUPT": Expected(500, "DATA_LOSS", "operator", {}),
    "ROW_COUNT_MISMATCH": Expected(500, "DATA_LOSS", "operator", {}),
    "TASK_DAMAGED": Expected(500, "DATA_LOSS", "operator", {"column": "state"}),
    "RESULT_TOO_LARGE": Expected(413, "RESOURCE_EXHAUSTED", "client", {}),
    "ATTEMPTS_EXHAUSTED": Expected(500, "INTERNAL", "operator", {}),
    "STORE_UNAVAILABLE": Expected(503, "UNAVAILABLE", "platform", {}, retry_s=5),
    "STORAGE_FULL": Expected(507, "RESOURCE_EXHAUSTED", "operator", {}, retry_s=5),
    "QUEUE_FULL": Expected(503, "RESOURCE_EXHAUSTED", "client", {"queued": 7, "retry_after_s": 30}, retry_s=30),
    "QUOTA_EXCEEDED": Expected(
        429, "RESOURCE_EXHAUSTED", "client", {"open_tasks_max": 1, "retry_after_s": 60}, retry_s=60
    ),
    "QUOTA_EXCEEDED/renders": Expected(
        429, "RESOURCE_EXHAUSTED", "client", {"renders_max": 1, "retry_after_s": 60}, retry_s=60
    ),
    "RATE_LIMITED": Expected(429, "RESOURCE_EXHAUSTED", "client", {"retry_after_s": 2}, retry_s=2),
    "UNAUTHENTICATED": Expected(401, "UNAUTHENTICATED", "client", {}),
    "PERMISSION_DENIED": Expected(403, "PERMISSION_DENIED", "client", {"scope": "write"}),
    "INVALID_REQUEST": Expected(400, "INVALID_ARGUMENT", "client", {"field": "columns"}),
    "INVALID_REQUEST/option": Expected(400, "INVALID_ARGUMENT", "client", {"field": "options.on_invalid"}),
    "INVALID_REQUEST/limit": Expected(400, "INVALID_ARGUMENT", "client", {"field": "limit"}),
    "INVALID_REQUEST/cursor": Expected(400, "INVALID_ARGUMENT", "client", {"field": "cursor"}),
    "INTERNAL": Expected(500, "INTERNAL", "operator", {}, retry_s=5),
}

_NEVER_THE_LAST_WORD = (
    "A result that does not verify is tried again. The link answers NOT_READY until the last attempt, then "
    "ATTEMPTS_EXHAUSTED, whose sentence names RESULT_VERIFY_FAILED: a test below. Only `sluice task verify` raises it."
)
_OF_THE_FILE = "Only the download says it, which is HTTP's alone, and `sluice task verify`: test_damaged_results.py."
_TAKES_TIME = "A sender has to be slow: test_http_bad_bodies.py. gRPC only cancels a call whose message is not there."
OF_JOBS = (
    *("TARGET_INVALID", "TARGET_UNAVAILABLE", "TARGET_REFUSES", "ROW_REFUSED", "TOO_MANY_REFUSED"),
    *("TOO_MANY_GROUPS", "RUN_TOO_LONG", "NO_FILE", "JOB_NOT_FOUND"),
)
CANNOT_OCCUR = {
    **{("SENDER_TOO_SLOW", face): _TAKES_TIME for face in FACES},
    **{(code, face): _OF_THE_FILE for code in ("RESULT_MISSING", "RESULT_DAMAGED") for face in FACES},
    **{
        (code, face): "Of tables that the service reads itself: test_datasets.py."
        for code in ("DATASET_NOT_FOUND", "SOURCE_INVALID", "SOURCE_UNAVAILABLE", "SOURCE_TOO_SLOW")
        for face in FACES
    },
    **{
        (code, face): "Of jobs and their runs: test_jobs.py, test_jobs_service.py."
        for code in OF_JOBS
        for face in FACES
    },
    ("TOTALS_MISSING", HTTP): "A request says its length, or ends in a chunk of its own: test_cut_tables.py.",
    ("RESULT_VERIFY_FAILED", HTTP): _NEVER_THE_LAST_WORD,
    ("RESULT_VERIFY_FAILED", GRPC): _NEVER_THE_LAST_WORD,
}
"""Code and face, with the reason."""

REFUSING = {
    Event.AUTHENTICATION_FAILED, Event.AUTHORIZATION_FAILED, Event.BATCH_REJECTED, Event.RATE_LIMIT_REACHED,
    Event.REQUEST_REFUSED, Event.SYSTEM_ERROR, Event.VALIDATION_ERROR,
}  # fmt: skip
OF_THEIR_OWN = {
    "UNAUTHENTICATED": ("AuthenticationFailed", "sluice_auth_failures_total"),
    "RATE_LIMITED": ("RateLimitReached", "sluice_rate_limited_total"),
}
LEVELS = {
    **dict.fromkeys(("TASK_NOT_FOUND", "TASK_DELETED", "EXPIRED", "CANCELLED", "ALREADY_COMPLETED"), "INFO"),
    **dict.fromkeys(("NOT_READY", "RATE_LIMITED"), "DEBUG"),
    "QUEUE_FULL": "WARN",
}
"""Of codes whose level does not follow from who must act."""

CASES = [(case, face) for case, scenario in SCENARIOS.items() for face in scenario.faces]

NEVER_SAID = (
    SECRET_CELL, *SECRET_WORDS.split(":"), "Traceback", ".py", "/tmp", "in/v1/", "out/v1/", "slc_",
    "MemoryStore", "MemoryTasks", "sqlite", "RuntimeError", "OutcomeUnknown", "StoreError", "SluiceError",
)  # fmt: skip


class Provoked(NamedTuple):
    case: str
    face: str
    refusal: Refusal
    recorded: list[Entry]
    """What the journal got meanwhile."""

    @property
    def expected(self) -> Expected:
        return EXPECTED[self.case]


class Services:
    """The services of this file: scenarios of the same shape share one, each with a tenant of its own."""

    def __init__(self, make_folder: Callable[[str], Path]) -> None:
        self._make_folder = make_folder
        self._shared: dict[Service, BothApis] = {}
        self._provoked: dict[tuple[str, str], Provoked] = {}
        self.running = ExitStack()

    def refusal(self, case: str, face: str) -> Refusal:
        return self.provoke(case, face).refusal

    def provoke(self, case: str, face: str) -> Provoked:
        """Once for each: in random order pytest may ask again, and the case's tenant is then no longer new."""
        if (case, face) not in self._provoked:
            self._provoked[case, face] = self._provoke_new(case, face)
        return self._provoked[case, face]

    def _provoke_new(self, case: str, face: str) -> Provoked:
        scenario = SCENARIOS[case]
        tenant = f"{face}-{list(SCENARIOS).index(case)}"
        if scenario.alone:
            with both_faces(self._make_folder("keys"), **scenario.service()) as faces:
                return self._provoke(case, faces, faces.face(face, tenant=tenant))
        faces = self._shared.get(scenario.service) or self._start(scenario.service)
        return self._provoke(case, faces, faces.face(face, tenant=tenant))

    @staticmethod
    def _provoke(case: str, faces: BothApis, face: EitherApi) -> Provoked:
        known = len(faces.memory.journal.entries)
        refusal = refused(SCENARIOS[case].provoke(faces, face))
        return Provoked(case, face.name, refusal, faces.memory.journal.entries[known:])

    def _start(self, service: Service) -> BothApis:
        faces = self.running.enter_context(both_faces(self._make_folder("keys"), **service()))
        self._shared[service] = faces
        return faces


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    made = Services(tmp_path_factory.mktemp)
    with made.running:
        yield made


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def provoked(request: pytest.FixtureRequest, services: Services) -> Provoked:
    case, face = request.param
    return services.provoke(case, face)


def test_the_code_the_status_and_the_facts_are_the_expected_ones(provoked: Provoked) -> None:
    refusal, expected = provoked.refusal, provoked.expected
    status = expected.http if provoked.face == HTTP else expected.grpc
    assert (refusal.code, refusal.status) == (provoked.case.partition("/")[0], status)
    assert refusal.facts == expected.facts


def test_the_answer_says_who_must_act_and_whether_and_when_to_try_again(provoked: Provoked) -> None:
    refusal, expected = provoked.refusal, provoked.expected
    assert (refusal.retryable, refusal.retry_s) == (expected.retry_s is not None, expected.retry_s)
    assert refusal.who == (expected.who if provoked.face == HTTP else None)


def test_the_answer_is_a_sentence_without_paths_names_of_the_inside_or_cells(provoked: Provoked) -> None:
    assert provoked.refusal.sentence
    assert [word for word in NEVER_SAID if word in provoked.refusal.said] == []


def test_the_refusal_leaves_a_line_at_the_level_of_the_table_and_is_counted(provoked: Provoked) -> None:
    code, lines, counts = provoked.refusal.code, list[str](), MetricsJournal(clock=FakeClock())
    journal = JournalLines(lines.append, clock=FakeClock(), level=Level.DEBUG)
    for entry in provoked.recorded:
        if entry.event in REFUSING:
            journal.record(entry.event, **entry.fields)
            counts.record(entry.event, **entry.fields)
    told = [json.loads(line) for line in lines]
    event, counter = OF_THEIR_OWN.get(code, ("", f'export_errors_total{{code="{code}"}}'))
    of_it = [line for line in told if line["event"] == event or (line["error"] or {}).get("code") == code]
    assert {line["level"] for line in of_it} == {
        LEVELS.get(code) or ("ERROR" if provoked.expected.http >= 500 else "WARN")
    }
    assert counter in counts.render().decode()
    assert SECRET_CELL not in "".join(lines)


@pytest.mark.parametrize("face", FACES)
def test_every_code_comes_about_or_there_is_a_reason_why_not(face: str) -> None:
    provoked = {case.partition("/")[0] for case, by in CASES if by == face}
    excused = {code for code, by in CANNOT_OCCUR if by == face}
    assert not provoked & excused
    assert provoked | excused == {code.value for code in ErrorCode}
    assert EXPECTED.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("face", FACES)
def test_a_result_that_never_verifies_is_named_by_the_error_that_ends_its_task(face: str, services: Services) -> None:
    assert "RESULT_VERIFY_FAILED" in services.refusal("ATTEMPTS_EXHAUSTED", face).sentence


def test_delete_over_http_of_a_finished_task_is_no_error_but_its_end(tmp_path: Path) -> None:
    with both_faces(tmp_path) as faces:
        face = faces.face(HTTP)
        task_id = granted(face.open())
        granted(face.close(task_id))
        faces.memory.invoker.join()
        assert refused(face.cancel(task_id)).code == "ALREADY_COMPLETED"
        assert face.status(task_id) == "completed", "it has its file"
        assert isinstance(face, OverHttp)
        granted(face.delete(task_id))
        assert refused(face.status(task_id)).code == "TASK_DELETED"


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("is_closed", [False, True])
def test_cancelling_is_the_same_over_each_face_and_however_often(tmp_path: Path, name: str, is_closed: bool) -> None:  # noqa: FBT001 -- a case
    with both_faces(tmp_path, paused=True) as faces:
        face = faces.face(name)
        task_id = granted(face.open())
        if is_closed:
            granted(face.close(task_id))
        assert [face.cancel(task_id) for _ in range(3)] == ["cancelled"] * 3
        faces.memory.invoker.join()
        assert face.status(task_id) == "cancelled"


def test_what_one_face_was_told_the_other_refuses_with_the_same_words(tmp_path: Path) -> None:
    with both_faces(tmp_path, paused=True) as faces:
        http, grpc = faces.face(HTTP), faces.face(GRPC)
        task_id = granted(http.open())
        granted(grpc.put(task_id, 1, rows_of(1, 1)))
        conflicts = [refused(face.put(task_id, 1, rows_of(2, 1))) for face in (http, grpc)]
        gaps = [refused(face.close(task_id, batches=2)) for face in (http, grpc)]
        granted(grpc.close(task_id))
        closed = [refused(face.close(task_id, rows=9)) for face in (http, grpc)]
    for over_http, over_grpc in (conflicts, gaps, closed):
        assert (over_http.code, over_http.facts, over_http.sentence) == (
            over_grpc.code,
            over_grpc.facts,
            over_grpc.sentence,
        )
