"""Which of our outcomes each of Tablestore's answers is: the only place that knows its error codes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from google.protobuf.message import DecodeError
from urllib3.exceptions import HTTPError

from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.ports.store_errors import OutcomeUnknown, StoreError, StoreRefused

CONDITION_FAILED = "OTSConditionCheckFail"
_SERVER_ERRORS = 500
"""From this HTTP status on the service failed, and not we."""
_RELIEF_S = 0.5
"""How long a service that is too busy is left alone. It does not say; its own SDK begins with as much."""


class _Again(NamedTuple):
    """Repeating, or reading back, may help."""

    after_s: float = 0


_PASSING: dict[str, _Again] = {
    "OTSServerBusy": _Again(_RELIEF_S),
    "OTSFlowControl": _Again(_RELIEF_S),
    "OTSOperationThrottled": _Again(_RELIEF_S),
    "OTSQuotaExhausted": _Again(_RELIEF_S),
    "OTSNotEnoughCapacityUnit": _Again(_RELIEF_S),
    "OTSCapacityUnitExhausted": _Again(_RELIEF_S),
    "OTSPartitionUnavailable": _Again(_RELIEF_S),  # it is being moved, which takes seconds
    "OTSTableNotReady": _Again(_RELIEF_S),
    "OTSTooFrequentReservedThroughputAdjustment": _Again(_RELIEF_S),
    "OTSRowOperationConflict": _Again(),  # another write to the row was under way; nothing was changed
    "OTSOperationConflict": _Again(),
    "OTSRequestTimeout": _Again(),
    "OTSTimeout": _Again(),
    "OTSServerUnavailable": _Again(),
    "OTSInternalServerError": _Again(),
}
"""Codes that pass, whatever their HTTP status is. The others below 500 are refusals."""

_BAD_ANSWER = (DecodeError, UnicodeDecodeError, struct.error, IndexError)
"""What the SDK lets through when an answer is not what it should be."""


def failure(code: str, message: str, *, status: int = 0, request_id: str = "") -> StoreError:
    """Our error for one of the service's codes."""
    again = _PASSING.get(code)
    if again is not None:
        return OutcomeUnknown(f"{code} (request {request_id})", retry_after_s=again.after_s)
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
