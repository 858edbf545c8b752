"""Who signed a request, and whether the signature, its date and its life are right."""

from __future__ import annotations

from infra.emulators.oss import signature_v1, signature_v4
from infra.emulators.oss.key_ring import Caller, KeyRing
from infra.emulators.oss.oss_errors import OssError
from infra.emulators.oss.request import Request


def authenticate(request: Request, keys: KeyRing, *, now: float, region: str) -> Caller | None:
    """Find the caller; None when the request is not signed at all. Raises OssError when it is signed badly."""
    signed = request.headers.get("authorization", "")
    if signed.startswith("OSS "):
        return signature_v1.check_header(request, keys, now=now)
    if signed.startswith(signature_v4.ALGORITHM):
        return signature_v4.check_header(request, keys, now=now, region=region)
    if signed:
        raise OssError("InvalidArgument", "Authorization header is invalid.")
    if "OSSAccessKeyId" in request.query or "Signature" in request.query:
        return signature_v1.check_url(request, keys, now=now)
    if "x-oss-signature-version" in request.query:
        return signature_v4.check_url(request, keys, now=now, region=region)
    return None
