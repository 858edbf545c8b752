"""Errors as gRPC answers them: a status, plain metadata, and the standard error details."""

from __future__ import annotations

import json
from typing import NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]  # no py.typed
    ErrorInfo,
    RequestInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no py.typed

from sluice.api.error_status import grpc_status, record_error, retry_after_s
from sluice.domain.errors import SluiceError
from sluice.ports.journal import Journal

ERROR_DOMAIN = "sluice"
REQUEST_ID_KEY = "x-request-id"
CODE_KEY = "error-code"
FACTS_KEY = "error-facts"
"""The facts as one JSON object in ASCII, for clients without the messages of ``google.rpc``."""
DETAILS_KEY = "grpc-status-details-bin"
"""Where clients look for a ``google.rpc.Status``."""

Metadata = tuple[tuple[str, str | bytes], ...]


class Logged(Exception):
    """An error of a call that is in the journal already.

    ``is_answered``: the call's last message has it, too.
    """

    def __init__(self, error: SluiceError, *, is_answered: bool = False) -> None:
        self.error = error
        self.is_answered = is_answered
        super().__init__(str(error))


def log_error(error: Exception, journal: Journal) -> Logged:
    """Record an error, unless that was done, and turn it into what the caller may know."""
    return error if isinstance(error, Logged) else Logged(record_error(error, journal))


def abort(context: grpc.ServicerContext, error: SluiceError, request_id: str) -> NoReturn:
    """End the call with the status, the sentence and the facts of ``error``."""
    context.set_trailing_metadata(error_metadata(error, request_id))
    context.abort(_status_code(error), error.said)
    raise AssertionError("abort raises")


def _status_code(error: SluiceError) -> grpc.StatusCode:
    return grpc.StatusCode[grpc_status(error).name]


def error_metadata(error: SluiceError, request_id: str) -> Metadata:
    """Trailing metadata: ASCII, and far below the 8 KiB that clients take."""
    return (
        (REQUEST_ID_KEY, request_id),
        (CODE_KEY, error.code.value),
        (FACTS_KEY, json.dumps(error.shown, ensure_ascii=True, separators=(",", ":"))),
        (DETAILS_KEY, error_status(error, request_id).SerializeToString()),
    )


def error_status(error: SluiceError, request_id: str) -> Status:
    """The error in the messages of ``google.rpc``, with a delay when a retry makes sense."""
    metadata = {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in error.shown.items()}
    details: list[Message] = [
        ErrorInfo(reason=error.code.value, domain=ERROR_DOMAIN, metadata=metadata),
        RequestInfo(request_id=request_id),
    ]
    delay_s = retry_after_s(error)
    if delay_s is not None:
        details.append(RetryInfo(retry_delay=Duration(seconds=delay_s)))
    status = Status(code=_status_code(error).value[0], message=error.said)
    for detail in details:
        status.details.add().Pack(detail)
    return status
