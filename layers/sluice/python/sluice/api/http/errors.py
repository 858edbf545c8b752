"""Error answers over HTTP: problem documents (RFC 9457), whatever went wrong and wherever."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from sluice.api.error_status import forget_frames, http_status, problem, record_error, retry_after_s
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.limits import KIB
from sluice.ports.journal import Journal

HEAD_BYTES_MAX = 16 * KIB
"""Of a request: its target and its header fields."""
PROBLEM_TYPE = "application/problem+json"
REQUEST_ID_KEY = "sluice.request_id"
"""Where the middleware leaves the request's id in the ASGI scope."""
KNOWN_KEY = "sluice.known"
"""In the ASGI scope of a request whose caller, or whose link, was let in and has a share of what is under way."""
SHARE_KEY = "sluice.share"
"""What gives the request's share back, in the ASGI scope."""

_SENTENCES: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take this method.",
    HTTPStatus.NOT_IMPLEMENTED: "This method is none that HTTP has.",
}

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Those that every server knows, whether or not a path takes them (RFC 9110, 9.1, and RFC 5789)."""
EXPORT_PATHS = "/v1/exports/"
DATASET_PATHS = "/v1/datasets"
"""Which pages of the origins that an operator has named may call, for users whose tokens they have."""
WATCH_PATHS = "/v1/watch/"
"""Which pages of any site may read: possession of the address is access, and no credential of a browser counts."""


class HttpError(Exception):
    """An error whose status only HTTP knows, such as 405 or 408."""

    def __init__(
        self, status: int, error: SluiceError, headers: Mapping[str, str] | None = None, *, is_recorded: bool = False
    ) -> None:
        super().__init__(str(error))
        self.status = status
        self.is_recorded = is_recorded
        self.error = error
        self.headers = dict(headers or {})


def logged(error: SluiceError) -> HttpError:
    """An error that is in the journal already, under a better name than that of an invalid request."""
    return HttpError(http_status(error), error, is_recorded=True)


def invalid_request(detail: str, **facts: object) -> SluiceError:
    return SluiceError(ErrorCode.INVALID_REQUEST, detail, **facts)


def head_too_large() -> SluiceError:
    return invalid_request("The head of the request is too large.", head_bytes_max=HEAD_BYTES_MAX)


def request_id_of(scope: Scope) -> str:
    return str(scope.get(REQUEST_ID_KEY, ""))


def problem_response(
    error: SluiceError, *, request_id: str, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with ``error``; ``status`` overrides the status its code has."""
    body = problem(error, request_id=request_id)
    body["status"] = status or http_status(error)
    sent = dict(headers or {})
    seconds = retry_after_s(error)
    if seconds is not None:
        sent["Retry-After"] = str(seconds)
    if error.code is ErrorCode.UNAUTHENTICATED:
        sent["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), status or http_status(error), headers=sent, media_type=PROBLEM_TYPE)


def answer_error(request: Request, error: Exception) -> Response:
    """Turn any foreseen exception into its answer. Record what the service should know of it."""
    journal: Journal = request.app.state.resources.ports.journal
    request_id = request_id_of(request.scope)
    try:
        match error:
            case HttpError():
                if not error.is_recorded:
                    record_error(error.error, journal)
                return problem_response(error.error, request_id=request_id, status=error.status, headers=error.headers)
            case HTTPException():
                return _answer_routing(request, error, journal)
            case ClientDisconnect():
                journal.record(Event.STREAM_ERROR, reason="the sender went away")
                return Response(status_code=499)  # the caller is gone
            case _:
                return problem_response(record_error(error, journal), request_id=request_id)
    finally:
        forget_frames(error)


def _answer_routing(request: Request, error: HTTPException, journal: Journal) -> Response:
    """Answer for the framework: no such path, no such method."""
    request_id = request_id_of(request.scope)
    routes = [one for one in request.app.routes if isinstance(one, Route)]
    if request.scope["path"] != "*":  # which is the server itself, in `OPTIONS *`
        routes = [one for one in routes if one.matches(request.scope)[0] is not Match.NONE]
    # The methods of all routes of the path; the framework's own answer names those of one.
    methods = ", ".join(sorted({"OPTIONS", *(method for one in routes for method in one.methods or ())}))
    if request.method == "OPTIONS" and routes:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": methods})  # to a preflight as well
    if error.status_code == HTTPStatus.NOT_FOUND and request.url.path.startswith(EXPORT_PATHS):
        known = record_error(SluiceError(ErrorCode.TASK_NOT_FOUND), journal)
        return problem_response(known, request_id=request_id)
    headers = dict(error.headers or {})
    status = error.status_code
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = methods
        status = status if request.method in METHODS else HTTPStatus.NOT_IMPLEMENTED
    sentence = _SENTENCES.get(status, "The request cannot be served.")
    known = record_error(invalid_request(sentence), journal)
    return problem_response(known, request_id=request_id, status=status, headers=headers)
