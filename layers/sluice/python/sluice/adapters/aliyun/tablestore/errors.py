"""Which of our outcomes each of Tablestore's answers is: the only place that knows its error codes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf.message import DecodeError
from urllib3.exceptions import HTTPError

from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.ports.store_errors import OutcomeUnknown, StoreError, StoreRefused

CONDITION_FAILED = "OTSConditionCheckFail"
_SERVER_ERRORS = 500
"""From this HTTP status on the service failed, and not we."""
_RELIEF_S = 0.5
"""How long a service that is too busy is left alone. It does not say; its own SDK begins with as much."""


_PASSING: dict[str, float] = {
    "OTSServerBusy": _RELIEF_S,
    "OTSFlowControl": _RELIEF_S,
    "OTSOperationThrottled": _RELIEF_S,
    "OTSQuotaExhausted": _RELIEF_S,
    "OTSNotEnoughCapacityUnit": _RELIEF_S,
    "OTSCapacityUnitExhausted": _RELIEF_S,
    "OTSPartitionUnavailable": _RELIEF_S,  # it is being moved, which takes seconds
    "OTSTableNotReady": _RELIEF_S,
    "OTSTooFrequentReservedThroughputAdjustment": _RELIEF_S,
    "OTSRowOperationConflict": 0,  # another write to the row was under way; nothing was changed
    "OTSOperationConflict": 0,
    "OTSRequestTimeout": 0,
    "OTSTimeout": 0,
    "OTSServerUnavailable": 0,
    "OTSInternalServerError": 0,
}
"""Codes after which repeating, or reading back, may help, whatever their HTTP status is; and after how many seconds.

The others below 500 are refusals.
"""

_BAD_ANSWER = (DecodeError, UnicodeDecodeError, struct.error, IndexError)
"""What the SDK lets through when an answer is not what it should be."""


def failure(code: str, message: str, *, status: int = 0, request_id: str = "") -> StoreError:
    """Our error for one of the service's codes."""
    if code in _PASSING:
        return OutcomeUnknown(f"{code} (request {request_id})", retry_after_s=_PASSING[code])
    if status >= _SERVER_ERRORS:
        return OutcomeUnknown(f"{code or status} (request {request_id})")
    return StoreRefused(f"Tablestore refuses: {code}: {message}", code=code, request_id=request_id)


@contextmanager
def translated() -> Iterator[None]:
    """Let only our errors out. What was sent and not answered as it should be is unknown."""
    try:
        yield
    except sdk.OTSServiceError as error:
        status = error.http_status or 0
        raise failure(error.code, error.message, status=status, request_id=error.request_id) from error
    except sdk.OTSClientError as error:
        raise OutcomeUnknown(f"no valid answer: {error}") from error
    except HTTPError as error:
        raise OutcomeUnknown(f"no answer: {type(error).__name__}") from error
    except _BAD_ANSWER as error:
        raise OutcomeUnknown(f"an answer that cannot be read: {type(error).__name__}") from error
