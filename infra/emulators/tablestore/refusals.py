"""What the service answers when it does not do what it was asked: a code, its HTTP status and a sentence."""

from __future__ import annotations

STATUS_BY_CODE = {
    "OTSAuthFailed": 403,
    "OTSCapacityUnitExhausted": 403,
    "OTSConditionCheckFail": 403,
    "OTSFlowControl": 429,
    "OTSInternalServerError": 500,
    "OTSInvalidPK": 400,
    "OTSMethodNotAllowed": 405,
    "OTSNoPermissionAccess": 403,
    "OTSNotEnoughCapacityUnit": 403,
    "OTSObjectAlreadyExist": 409,
    "OTSObjectNotExist": 404,
    "OTSOperationConflict": 409,
    "OTSOperationThrottled": 403,
    "OTSOutOfColumnCountLimit": 400,
    "OTSOutOfRowSizeLimit": 400,
    "OTSParameterInvalid": 400,
    "OTSPartitionUnavailable": 503,
    "OTSQuotaExhausted": 403,
    "OTSRequestBodyTooLarge": 413,
    "OTSRequestTimeout": 408,
    "OTSRowOperationConflict": 409,
    "OTSServerBusy": 503,
    "OTSServerUnavailable": 503,
    "OTSTableNotReady": 404,
    "OTSTimeout": 503,
    "OTSUnsupportOperation": 400,
}
"""As the published list of error codes has them."""


MESSAGES = {
    "OTSServerBusy": "Server is busy.",
    "OTSPartitionUnavailable": "The partition is not available.",
    "OTSTimeout": "Operation timeout.",
    "OTSServerUnavailable": "Server is not available.",
    "OTSInternalServerError": "Internal server error.",
    "OTSRowOperationConflict": "Data is being modified by the other request.",
    "OTSTableNotReady": "The table is not ready.",
    "OTSQuotaExhausted": "Too frequent table operations.",
    "OTSCapacityUnitExhausted": "Capacity unit is not enough.",
    "OTSNotEnoughCapacityUnit": "Remaining capacity unit is not enough.",
    "OTSConditionCheckFail": "Condition check failed.",
    "OTSFlowControl": "The requests have been throttled.",
    "OTSNoPermissionAccess": "You have no permission to access the requested resource, "
    "please contact the resource owner",
}
"""As the service words them; the SDK retries OTSQuotaExhausted by its message."""


class Refused(Exception):
    """The request is answered with an error; nothing was changed unless the raiser says so."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        return STATUS_BY_CODE[self.code]


def invalid(message: str) -> Refused:
    """Say that a parameter is wrong."""
    return Refused("OTSParameterInvalid", message)


def condition_failed() -> Refused:
    return Refused("OTSConditionCheckFail", "Condition check failed.")
