"""What the failures of obstore mean to the ports; the only place that knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from obstore.exceptions import BaseError

from sluice.ports.store_errors import BehindTheEnd, NoSuchObject, OutcomeUnknown, StoreError, StoreRefused


class AlreadyThere(StoreError):
    """An object that was to be made is there already."""


MEANINGS: Mapping[str, type[StoreError]] = {
    "NoSuchKey": NoSuchObject,
    "BlobNotFound": NoSuchObject,
    "InvalidRange": BehindTheEnd,
    "PreconditionFailed": AlreadyThere,
    "BlobAlreadyExists": AlreadyThere,
    # Answered with a status of 4xx, though only the transfer failed, or another call is under way:
    "BadDigest": OutcomeUnknown,
    "ConditionalRequestConflict": OutcomeUnknown,
    "IncompleteBody": OutcomeUnknown,
    "MalformedXML": OutcomeUnknown,
    "Md5Mismatch": OutcomeUnknown,
    "OperationAborted": OutcomeUnknown,
    "RequestTimeout": OutcomeUnknown,
    "XAmzContentSHA256Mismatch": OutcomeUnknown,
}
"""By the store's own code, whatever the status; the codes are those of S3, where Azure has others those too."""

STATUS_MEANINGS: Mapping[int, type[StoreError]] = {
    404: NoSuchObject,
    408: OutcomeUnknown,
    409: OutcomeUnknown,
    412: AlreadyThere,
    416: BehindTheEnd,
    425: OutcomeUnknown,
    429: OutcomeUnknown,
}
"""By status, where the code says nothing; those of 5xx are unknown outcomes, the rest of 4xx and 3xx refusals."""

MISSING_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
NO_CREDENTIALS = "NoCredentials"

ADVICE: Mapping[str, str] = {
    "AccessDenied": "the key or role may not do this; see its policy and the bucket's",
    "AuthenticationFailed": "the account's key is wrong, or this machine's clock",
    "AuthorizationHeaderMalformed": "the bucket is in another region than s3.region",
    "ContainerNotFound": "there is no such container in this account",
    "ExpiredToken": "the credentials have run out and were not renewed",
    "InvalidAccessKeyId": "the access key does not exist or is disabled",
    "InvalidObjectState": "the object was archived by a lifecycle rule and must be restored first",
    "InvalidToken": "the session token is not valid",
    NO_CREDENTIALS: "neither the environment's variables nor the machine's role give any credentials",
    "NoSuchBucket": "there is no such bucket at this endpoint",
    "PermanentRedirect": "the bucket is in another region than s3.region",
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes wrong",
    "SignatureDoesNotMatch": "the access key's secret is wrong, or the region",
}
"""What an operator should know about a refusal, by the store's code."""

_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>|\(code: (\w{1,64})\)")
_REQUEST_ID = re.compile(r"<RequestId>([\w-]{1,128})</RequestId>")
_METADATA_SERVICE = re.compile(r"//(169\.254\.|metadata\.google\.internal)")
"""Where obstore asks for a role's credentials when the environment gives none."""
_NOT_IMPLEMENTED = 501
"""The one of 5xx that says no for good."""


@contextmanager
def s3_errors(operation: str) -> Iterator[None]:
    """Let nothing out of this block but a ``StoreError`` that says what the failure of ``operation`` means."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise meaning_of(operation, str(error)) from error


def meaning_of(operation: str, text: str) -> StoreError:
    """Read obstore's ``text``, which quotes the store's answer; nothing else of it goes into the message."""
    said = text.partition("\n\nDebug source")[0]
    status, code = int(_first(_STATUS, said) or 0), _first(_CODE, said)
    if code.isdecimal():  # so obstore says it of one object among many
        status, code = int(code), ""
    if _METADATA_SERVICE.search(said):
        status, code = 401, NO_CREDENTIALS
    kind = None if code in MISSING_BUCKET else MEANINGS.get(code) or STATUS_MEANINGS.get(status)
    if kind is None and (not (status or code) or (status >= 500 and status != _NOT_IMPLEMENTED)):  # noqa: PLR2004 - 5xx
        kind = OutcomeUnknown
    request_id = _first(_REQUEST_ID, said)
    reason = code or (f"status {status}" if status else "no answer")
    words = f"{reason} (request {request_id or 'without an id'})"
    if kind is not None:
        return kind(f"{operation}: {words}")
    advice = ADVICE.get(code, "repeating it is no use")
    return StoreRefused(f"the store refused {operation}: {advice}: {words}", code=reason, request_id=request_id)


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return next(filter(None, match.groups()), "") if match else ""
