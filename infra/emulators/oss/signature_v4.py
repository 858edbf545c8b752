"""OSS signature version 4: HMAC-SHA256 over the whole request, with a key of the day and the region."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from infra.emulators.oss.key_ring import Caller, KeyRing
from infra.emulators.oss.oss_errors import OssError, invalid_argument
from infra.emulators.oss.request import Request
from infra.emulators.oss.signing_dates import check_not_expired, check_skew

ALGORITHM = "OSS4-HMAC-SHA256"
URL_LIFE_S_MAX = 7 * 24 * 3600


class Claim(NamedTuple):
    """What a caller says of the signature."""

    credential: str
    signature: str
    additional_headers: tuple[str, ...]
    date: str

    @property
    def access_key_id(self) -> str:
        return self.credential.split("/")[0]

    @property
    def scope(self) -> str:
        """Day, region, product and the fixed end."""
        return self.credential.partition("/")[2]


def canonical_request(request: Request, additional_headers: tuple[str, ...]) -> str:
    parameters = sorted(
        (_encoded(name), _encoded(value)) for name, value in request.query.items() if name != "x-oss-signature"
    )
    headers = sorted(
        (name, value)
        for name, value in request.headers.items()
        if name.startswith("x-oss-") or name in {"content-type", "content-md5"} or name in additional_headers
    )
    return "\n".join(
        [
            request.method,
            _encoded(f"/{request.bucket}/{request.key}" if request.bucket else "/", safe="/"),
            "&".join(f"{name}={value}" if value else name for name, value in parameters),
            *(f"{name}:{value.strip()}" for name, value in headers),
            "",
            ";".join(sorted(additional_headers)),
            request.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )


def string_to_sign(canonical: str, claim: Claim) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{claim.date}\n{claim.scope}\n{digest}"


def signature(secret: str, scope: str, text: str) -> str:
    key = f"aliyun_v4{secret}".encode()
    for step in scope.split("/"):
        key = _hmac(key, step)
    return _hmac(key, text).hex()


def check_header(request: Request, keys: KeyRing, *, now: float, region: str) -> Caller:
    """Check the Authorization header. Raises OssError."""
    said = request.headers["authorization"].removeprefix(ALGORITHM).split(",")
    fields = dict(field.strip().split("=", 1) for field in said if "=" in field)
    if "x-oss-content-sha256" not in request.headers:
        raise OssError("InvalidArgument", "The x-oss-content-sha256 header is required.")
    claim = Claim(
        fields.get("Credential", ""),
        fields.get("Signature", ""),
        _names(fields.get("AdditionalHeaders", "")),
        request.headers.get("x-oss-date", ""),
    )
    caller = keys.find(claim.access_key_id, request.headers.get("x-oss-security-token", ""))
    check_skew(_signed_at(claim, region), now)
    return _checked(request, caller, claim)


def check_url(request: Request, keys: KeyRing, *, now: float, region: str) -> Caller:
    """Check a signed link. Raises OssError."""
    query = request.query
    if query["x-oss-signature-version"] != ALGORITHM:
        raise invalid_argument("x-oss-signature-version", query["x-oss-signature-version"], "Unknown signature version")
    claim = Claim(
        query.get("x-oss-credential", ""),
        query.get("x-oss-signature", ""),
        _names(query.get("x-oss-additional-headers", "")),
        query.get("x-oss-date", ""),
    )
    life = query.get("x-oss-expires", "")
    if not life.isdecimal() or not 1 <= int(life) <= URL_LIFE_S_MAX:
        message = "x-oss-expires should be an integer between 1 and 604800 (seconds)."
        raise invalid_argument("x-oss-expires", life, message, fine_code="0002-00000232")
    caller = keys.find(claim.access_key_id, query.get("x-oss-security-token", ""))
    signed_at = _signed_at(claim, region)
    if signed_at > now:
        check_skew(signed_at, now)
    check_not_expired(signed_at + int(life), now)
    return _checked(request, caller, claim)


def _signed_at(claim: Claim, region: str) -> float:
    try:
        signed_at = datetime.strptime(claim.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise OssError("AccessDenied", "OSS authentication requires a valid Date.") from None
    if claim.scope != f"{claim.date[:8]}/{region}/oss/aliyun_v4_request":
        message = f"Invalid signing region, product or day in Authorization header, the region is {region}."
        raise invalid_argument("Credential", claim.credential, message)
    return signed_at.timestamp()


def _checked(request: Request, caller: Caller, claim: Claim) -> Caller:
    canonical = canonical_request(request, claim.additional_headers)
    text = string_to_sign(canonical, claim)
    if not hmac.compare_digest(signature(caller.secret, claim.scope, text).encode(), claim.signature.encode()):
        facts = {
            "OSSAccessKeyId": caller.access_key_id,
            "SignatureProvided": claim.signature,
            "StringToSign": text,
            "CanonicalRequest": canonical,
        }
        raise OssError("SignatureDoesNotMatch", facts=facts)
    return caller


def _names(joined: str) -> tuple[str, ...]:
    return tuple(name for name in joined.split(";") if name)


def _encoded(text: str, safe: str = "") -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=f"-_.~{safe}")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
