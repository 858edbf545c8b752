"""No error code without a meaning, an answer and a line in the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sluice.api.error_status import ANSWERS, problem
from sluice.domain.errors import MEANINGS, ErrorCode, SluiceError

ROOT = Path(__file__).resolve().parents[3]

CODES = [
    "IDEMPOTENCY_KEY_REUSED", "TASK_NOT_FOUND", "TASK_DELETED", "SEQ_OUT_OF_RANGE", "ROW_WIDTH_MISMATCH",
    "INVALID_VALUE", "INVALID_TEXT", "CELL_TOO_LONG", "BATCH_TOO_LARGE", "TOO_MANY_BATCHES", "TOO_MANY_ROWS",
    "TOO_MANY_COLUMNS", "UNSUPPORTED_FORMAT", "UNSUPPORTED_ENCODING", "CHECKSUM_MISMATCH", "BATCH_CONFLICT",
    "TASK_CLOSED", "BATCHES_MISSING", "BATCHES_EXTRA", "TOTALS_MISMATCH", "TOTALS_MISSING", "ALREADY_CLOSED",
    "ALREADY_COMPLETED", "NOT_READY", "EXPIRED", "CANCELLED", "CHUNK_MISSING", "CHUNK_CORRUPT", "ROW_COUNT_MISMATCH",
    "RESULT_VERIFY_FAILED", "RESULT_TOO_LARGE", "RESULT_MISSING", "RESULT_DAMAGED", "TASK_DAMAGED",
    "ATTEMPTS_EXHAUSTED", "STORE_UNAVAILABLE", "STORAGE_FULL", "DATASET_NOT_FOUND", "SOURCE_INVALID",
    "SOURCE_UNAVAILABLE", "SOURCE_TOO_SLOW", "TARGET_INVALID", "TARGET_UNAVAILABLE", "TARGET_REFUSES", "ROW_REFUSED",
    "TOO_MANY_REFUSED", "TOO_MANY_GROUPS", "RUN_TOO_LONG", "NO_FILE", "JOB_NOT_FOUND", "QUEUE_FULL", "QUOTA_EXCEEDED",
    "RATE_LIMITED", "SENDER_TOO_SLOW", "UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_REQUEST", "INTERNAL",
]  # fmt: skip
"""As other programs know them."""


def test_the_codes_are_those_that_other_programs_know() -> None:
    assert [code.value for code in ErrorCode] == CODES


def test_every_code_has_a_meaning_and_an_answer() -> None:
    assert set(MEANINGS) == set(ErrorCode) == set(ANSWERS)


def test_no_fact_can_change_what_every_problem_says() -> None:
    members = problem(SluiceError(ErrorCode.INTERNAL), request_id="request-1")
    lies: dict[str, object] = dict.fromkeys(members, "a lie")
    assert problem(SluiceError(ErrorCode.INTERNAL, **lies), request_id="request-1") == members


def test_the_page_about_errors_is_what_the_tables_give() -> None:
    script = ROOT / "infra/gen_error_docs.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_page_about_errors_has_a_line_for_every_code() -> None:
    lines = (ROOT / "docs/errors.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == CODES
    conflict = next(line for line in lines if line.startswith("| `BATCH_CONFLICT`"))
    assert conflict.endswith("| client | no | 409 | ALREADY_EXISTS | WARN |")


def test_what_a_row_keeps_of_an_error_names_its_facts() -> None:
    assert SluiceError(ErrorCode.CHUNK_MISSING, "gone", sequence=3).summary == "gone (sequence: 3)"
    assert SluiceError(ErrorCode.CHUNK_MISSING, "gone").summary == "gone"
