"""OSS signature version 1: HMAC-SHA1 over a few headers and the resource, in a header or in a link."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import parsedate_to_datetime

from infra.emulators.oss.key_ring import Caller, KeyRing
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request
from infra.emulators.oss.signing_dates import check_not_expired, check_skew

_SIGNED_PARAMETERS = frozenset(
    {
        "acl",
        "append",
        "bucketInfo",
        "callback",
        "callback-var",
        "comp",
        "continuation-token",
        "cors",
        "delete",
        "encryption",
        "endTime",
        "inventory",
        "inventoryId",
        "lifecycle",
        "live",
        "location",
        "logging",
        "objectMeta",
        "partNumber",
        "policy",
        "position",
        "qos",
        "referer",
        "requestPayment",
        "restore",
        "security-token",
        "sequential",
        "startTime",
        "stat",
        "status",
        "style",
        "styleName",
        "symlink",
        "tagging",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "vod",
        "website",
        "worm",
        "wormExtend",
        "wormId",
        "x-oss-ac-forward-allow",
        "x-oss-ac-source-ip",
        "x-oss-ac-subnet-mask",
        "x-oss-ac-vpc-id",
        "x-oss-process",
        "x-oss-request-payer",
        "x-oss-traffic-limit",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    }
)


def string_to_sign(request: Request, date: str) -> str:
    headers = sorted((name, value) for name, value in request.headers.items() if name.startswith("x-oss-"))
    signed = sorted((name, value) for name, value in request.query.items() if name in _SIGNED_PARAMETERS)
    resource = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    query = "&".join(f"{name}={value}" if value else name for name, value in signed)
    return "\n".join(
        [
            request.method,
            request.headers.get("content-md5", ""),
            request.headers.get("content-type", ""),
            date,
            *(f"{name}:{value}" for name, value in headers),
            f"{resource}?{query}" if query else resource,
        ]
    )


def signature(secret: str, text: str) -> str:
    digest = hmac.new(secret.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def check_header(request: Request, keys: KeyRing, *, now: float) -> Caller:
    """Check the Authorization header. Raises OssError."""
    access_key_id, _, given = request.headers["authorization"].removeprefix("OSS ").strip().partition(":")
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    try:
        signed_at = parsedate_to_datetime(date).timestamp()
    except ValueError:
        raise OssError("AccessDenied", "OSS authentication requires a valid Date.") from None
    caller = keys.find(access_key_id, request.headers.get("x-oss-security-token", ""))
    check_skew(signed_at, now)
    return _checked(request, caller, given=given, date=date)


def check_url(request: Request, keys: KeyRing, *, now: float) -> Caller:
    """Check a signed link. Raises OssError."""
    try:
        access_key_id, given, expires = (request.query[name] for name in ("OSSAccessKeyId", "Signature", "Expires"))
    except KeyError:
        message = "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters"
        raise OssError("AccessDenied", message) from None
    if not expires.isdecimal():
        message = "Invalid date (should be seconds since epoch)."
        raise OssError("AccessDenied", message, fine_code="0002-00000070")
    caller = keys.find(access_key_id, request.query.get("security-token", ""))
    check_not_expired(int(expires), now)
    return _checked(request, caller, given=given, date=expires)


def _checked(request: Request, caller: Caller, *, given: str, date: str) -> Caller:
    text = string_to_sign(request, date)
    if not hmac.compare_digest(signature(caller.secret, text).encode(), given.encode()):
        facts = {"OSSAccessKeyId": caller.access_key_id, "SignatureProvided": given, "StringToSign": text}
        raise OssError("SignatureDoesNotMatch", facts=facts)
    return caller
