"""What OSS's refusals and failures mean to the ports; the only place that knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from xml.etree.ElementTree import ParseError

from requests import RequestException
from urllib3.exceptions import HTTPError

from sluice.adapters.aliyun.oss.bucket import oss2
from sluice.ports.store_errors import (
    BehindTheEnd,
    InvalidParts,
    NoSuchObject,
    NoSuchUpload,
    OutcomeUnknown,
    StoreError,
    StoreRefused,
)

MEANINGS: Mapping[str, type[StoreError]] = {
    "NoSuchKey": NoSuchObject,
    "NoSuchUpload": NoSuchUpload,
    "InvalidPart": InvalidParts,
    "InvalidPartOrder": InvalidParts,
    "EntityTooSmall": InvalidParts,
    "InvalidRange": BehindTheEnd,
    # Answered with a status of 4xx, though only the transfer failed:
    "RequestTimeout": OutcomeUnknown,
    "IncompleteBody": OutcomeUnknown,
    "InvalidDigest": OutcomeUnknown,
    "MalformedXML": OutcomeUnknown,
}
"""By OSS's code, whatever the status."""

ADVICE: Mapping[str, str] = {
    "AccessDenied": "the role or user may not do this, or the bucket belongs to another endpoint, "
    "or the object is missing, which OSS may keep from those who may not list; see the bucket's policy",
    "InvalidAccessKeyId": "the access key does not exist or is disabled",
    "SignatureDoesNotMatch": "the access key's secret is wrong, or the region",
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes wrong",
    "SecurityTokenExpired": "the credentials of the role have run out and were not renewed",
    "InvalidSecurityToken": "the credentials of the role are incomplete or not valid",
    "PublicEndpointForbidden": "new accounts may not use the public endpoint; "
    "use the internal endpoint, and a domain of your own for downloads",
    "NoSuchBucket": "there is no such bucket in this region",
    "UserDisable": "the account is suspended; look for unpaid bills",
    "InvalidObjectState": "the object was archived by a lifecycle rule and must be restored first",
    "KmsServiceNotEnabled": "the bucket is encrypted by a key service that is not enabled",
}
"""What an operator should know about a refusal, by OSS's code."""

_UNKNOWN_STATUSES = {408, 425, 429}
"""Besides 5xx: the request came too late, too early or too often."""
_NOT_IMPLEMENTED = 501
"""The one of 5xx that says no for good."""
_THROTTLED_STATUSES = {429, 503}
_PUBLIC_ENDPOINT_EC = "0048-00000401"


@contextmanager
def oss_errors(operation: str) -> Iterator[None]:
    """Let nothing out of this block but a ``StoreError`` that says what the failure of ``operation`` means."""
    try:
        yield
    except oss2.exceptions.RequestError as error:
        raise OutcomeUnknown(f"{operation}: {type(error.exception).__name__}") from error
    except oss2.exceptions.OssError as error:
        raise _meaning(operation, error) from error
    except (RequestException, HTTPError, OSError) as error:  # while the body is read the SDK wraps nothing
        raise OutcomeUnknown(f"{operation}: {type(error).__name__}") from error
    except (ParseError, RuntimeError, ValueError, AttributeError) as error:  # what the SDK's reading of XML may raise
        raise OutcomeUnknown(f"{operation}: the answer cannot be read") from error


def _meaning(operation: str, error: oss2.exceptions.OssError) -> StoreError:
    """The code says what it means where it is one of ``MEANINGS``, else the status; the rest is a refusal."""
    status, request_id = error.status, error.request_id
    kind = MEANINGS.get(error.code)
    # Negative statuses are the SDK's own complaints.
    may_be_done = status in _UNKNOWN_STATUSES or status >= 500 or status < 0  # noqa: PLR2004 - 5xx
    if kind is None and may_be_done and status != _NOT_IMPLEMENTED:
        kind = OutcomeUnknown
    # An answer to HEAD has no body to hold a code: then the status alone says that the object is missing.
    is_bare = operation == "HeadObject" and not error.code and request_id
    if kind is None and is_bare and status == 404:  # noqa: PLR2004
        kind = NoSuchObject
    words = f"{operation}: {error.code or status} (request {request_id or 'without an id'})"
    if kind is OutcomeUnknown:
        return OutcomeUnknown(words, retry_after_s=_retry_after_s(error))
    if kind is not None:
        return kind(words)
    ec = error.ec or error.headers.get("x-oss-ec", "")
    code = error.code or f"status {status}"
    advice = ADVICE.get("PublicEndpointForbidden" if ec == _PUBLIC_ENDPOINT_EC else code, "repeating it is no use")
    words = ", ".join(filter(None, (code, ec and f"EC {ec}", request_id and f"request {request_id}")))
    return StoreRefused(f"OSS refused {operation}: {advice} ({words})", code=code, ec=ec, request_id=request_id)


def _retry_after_s(error: oss2.exceptions.OssError) -> float:
    """How long OSS asks to be left alone."""
    if error.status in _THROTTLED_STATUSES:
        for name, per_s in (("x-oss-qos-delay-time", 1000), ("retry-after", 1)):
            with suppress(KeyError, ValueError):
                return max(0, float(error.headers[name])) / per_s
    return 0
