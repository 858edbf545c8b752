"""Every code of the service is one of our outcomes, those that nobody has heard of too."""

from __future__ import annotations

import struct

import pytest
from google.protobuf.message import DecodeError
from urllib3.exceptions import ProtocolError

from sluice.adapters.aliyun.tablestore.errors import failure, translated
from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        ("OTSServerBusy", 503, OutcomeUnknown),
        ("OTSServerBusy", 0, OutcomeUnknown),
        ("OTSQuotaExhausted", 403, OutcomeUnknown),
        ("OTSFlowControl", 429, OutcomeUnknown),
        ("OTSTableNotReady", 404, OutcomeUnknown),
        ("OTSRowOperationConflict", 409, OutcomeUnknown),
        ("OTSSomethingNew", 500, OutcomeUnknown),
        ("", 502, OutcomeUnknown),
        ("OTSSomethingNew", 400, StoreRefused),
        ("OTSObjectNotExist", 404, StoreRefused),
        ("OTSAuthFailed", 403, StoreRefused),
        ("OTSObjectAlreadyExist", 409, StoreRefused),
    ],
)
def test_a_code_passes_or_is_a_refusal(code: str, status: int, outcome: type[Exception]) -> None:
    assert type(failure(code, "words", status=status, request_id="r-1")) is outcome


@pytest.mark.parametrize(
    "raised",
    [
        sdk.OTSClientError("MD5 mismatch in response."),
        sdk.OTSServiceError(503, "OTSTimeout", "Operation timeout.", "r-1"),
        ProtocolError("reset"),
        DecodeError("no message"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        struct.error("short"),
        IndexError("short"),
    ],
)
def test_whatever_a_bad_answer_makes_the_sdk_raise_is_unknown(raised: Exception) -> None:
    with pytest.raises(OutcomeUnknown), translated():
        raise raised


@pytest.mark.parametrize("raised", [TypeError("a bug"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "bad")])
def test_our_own_mistakes_are_not_hidden(raised: Exception) -> None:
    with pytest.raises(type(raised)), translated():
        raise raised
