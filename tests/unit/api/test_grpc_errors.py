"""Errors in metadata: readable with and without the messages of google.rpc, and never too long to arrive."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]  # no py.typed
    ErrorInfo,
    RequestInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no py.typed

from sluice.api.grpc.errors import Logged, error_metadata, log_error
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.recorded_journal import RecordedJournal

METADATA_BYTES_MAX = 8 * 1024
"""What clients take by default."""


def metadata_of(error: SluiceError) -> dict[str, str | bytes]:
    return dict(error_metadata(error, "request-1"))


def status_of(error: SluiceError) -> Status:
    status = Status()
    status.ParseFromString(metadata_of(error)["grpc-status-details-bin"])
    return status


def unpacked(status: Status, message: ErrorInfo) -> ErrorInfo:
    assert [detail.Unpack(message) for detail in status.details].count(True) == 1
    return message


def test_plain_metadata_holds_the_code_and_the_facts() -> None:
    metadata = metadata_of(SluiceError(ErrorCode.INVALID_VALUE, row=3, column="Größe 价格"))
    assert metadata["error-code"] == "INVALID_VALUE"
    assert metadata["x-request-id"] == "request-1"
    facts = metadata["error-facts"]
    assert isinstance(facts, str)
    assert facts.isascii()
    assert json.loads(facts) == {"row": 3, "column": "Größe 价格"}


def test_an_error_without_facts_has_an_empty_object() -> None:
    assert metadata_of(SluiceError(ErrorCode.NOT_READY))["error-facts"] == "{}"


def test_details_name_the_reason_and_the_request() -> None:
    status = status_of(SluiceError(ErrorCode.BATCHES_MISSING, missing=[2, 5], missing_count=2, column="Preis"))
    info = unpacked(status, ErrorInfo())
    assert (status.code, status.message) == (9, "Some batches have not arrived; send them and close again.")
    assert (info.reason, info.domain) == ("BATCHES_MISSING", "sluice")
    assert dict(info.metadata) == {"missing": "[2, 5]", "missing_count": "2", "column": "Preis"}
    assert unpacked(status, RequestInfo()).request_id == "request-1"


@pytest.mark.parametrize(("facts", "seconds"), [({}, 5), ({"retry_after_s": 12.4}, 12), ({"retry_after_s": 0.01}, 1)])
def test_a_retryable_error_says_when_to_retry(facts: dict[str, float], seconds: int) -> None:
    status = status_of(SluiceError(ErrorCode.STORE_UNAVAILABLE, **facts))
    assert unpacked(status, RetryInfo()).retry_delay == Duration(seconds=seconds)


def test_an_error_that_is_not_retryable_does_not() -> None:
    status = status_of(SluiceError(ErrorCode.BATCH_CONFLICT))
    assert not any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)


@pytest.mark.parametrize(
    "error",
    [
        SluiceError(ErrorCode.INVALID_VALUE, row=50_000, column="\U0001f600" * 255, column_type="datetime"),
        SluiceError(ErrorCode.BATCHES_MISSING, missing=list(range(9_901, 10_001)), missing_count=10_000),
    ],
)
def test_the_longest_errors_fit_into_what_clients_take(error: SluiceError) -> None:
    size = 0
    for name, value in error_metadata(error, "r" * 64):
        base64_share = 4 / 3 if isinstance(value, bytes) else 1
        size += len(name) + 32 + int(len(value) * base64_share)
    assert size < METADATA_BYTES_MAX


def test_a_bug_is_told_to_the_journal_and_not_to_the_caller() -> None:
    journal, bug = RecordedJournal(), KeyError("secret")
    logged = log_error(bug, journal)
    assert (logged.error.code, logged.error.facts) == (ErrorCode.INTERNAL, {})
    assert "secret" not in logged.error.detail
    assert journal.of(Event.SYSTEM_ERROR) == [{"error": bug}]


def test_a_store_that_does_not_answer_is_told_to_both() -> None:
    journal, lost = RecordedJournal(), OutcomeUnknown("bucket-name timed out")
    logged = log_error(lost, journal)
    assert logged.error.code is ErrorCode.STORE_UNAVAILABLE
    assert "bucket-name" not in logged.error.detail
    assert journal.of(Event.SYSTEM_ERROR) == [{"error": lost}]


def test_a_request_that_is_not_valid_is_noted_as_one() -> None:
    journal = RecordedJournal()
    log_error(SluiceError(ErrorCode.INVALID_REQUEST), journal)
    assert journal.of(Event.VALIDATION_ERROR) == [{"error_code": "INVALID_REQUEST"}]


def test_an_ordinary_no_is_noted_as_a_refusal() -> None:
    journal, no = RecordedJournal(), SluiceError(ErrorCode.NOT_READY)
    log_error(no, journal)
    assert journal.of(Event.REQUEST_REFUSED) == [{"error_code": "NOT_READY", "error": no}]


def test_what_was_noted_is_not_noted_again() -> None:
    journal, logged = RecordedJournal(), Logged(SluiceError(ErrorCode.INVALID_VALUE))
    assert log_error(logged, journal) is logged
    assert journal.entries == []
