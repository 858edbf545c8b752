"""What Function Compute's answer to an asynchronous call means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from sluice.ports.store_errors import OutcomeUnknown, StoreRefused

REQUEST_ID_HEADERS = ("x-fc-request-id", "x-acs-request-id")
ERROR_TYPE_HEADER = "x-fc-error-type"
CODE_FIELDS = ("Code", "ErrorCode")
"""Of functions of 3.0 and of services of 2.0."""


def check_accepted(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Return when the call was taken, now or before (409: its id is known); ``headers`` by lower-case name.

    Raises ``StoreRefused`` when an operator must act, ``OutcomeUnknown`` for
    what may pass. The body's words stay out of the message: they may repeat
    what was signed.
    """
    error_type = headers.get(ERROR_TYPE_HEADER, "")
    if (status < HTTPStatus.MULTIPLE_CHOICES and not error_type) or status == HTTPStatus.CONFLICT:
        return
    code = error_type or _code(body)
    request_id = next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), "")
    words = f"Function Compute did not take a call for a composer: {status} {code} (request {request_id or 'unknown'})"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR or error_type:
        raise OutcomeUnknown(words)
    raise StoreRefused(words, code=code or str(status), request_id=request_id)


def _code(body: bytes) -> str:
    """The error's code, if the body is what it should be; gateways on the way answer in HTML or not at all."""
    try:
        fields = json.loads(body)
    except ValueError:
        return ""
    named = (fields.get(field) for field in CODE_FIELDS) if isinstance(fields, dict) else ()
    return next((code for code in named if isinstance(code, str)), "")
