"""Signatures V2 and V4 as the service's protocol has them; written without the SDK's signers: the two agree or fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

PREFIX = "x-ots-"
SIGNATURE_V2 = "x-ots-signature"
SIGNATURE_V4 = "x-ots-signaturev4"
SIGN_DATE = "x-ots-signdate"
SIGN_REGION = "x-ots-signregion"


def signing_key(secret: str, headers: Mapping[str, str]) -> bytes:
    """Return what requests are signed with: the secret itself (V2), or a key for one day and region (V4)."""
    if SIGNATURE_V4 not in headers:
        return secret.encode()
    key = f"aliyun_v4{secret}".encode()
    for step in (headers.get(SIGN_DATE, ""), headers.get(SIGN_REGION, ""), "ots", "aliyun_v4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return base64.b64encode(key)


def request_signature(key: bytes, path: str, headers: Mapping[str, str]) -> str:
    """Return the signature that a request with these headers must carry."""
    text = f"{path}\nPOST\n\n{_canonical(headers)}\n"
    if SIGNATURE_V4 in headers:
        return _encoded(key, text + "ots", "sha256")
    return _encoded(key, text, "sha1")


def answer_signature(key: bytes, path: str, headers: Mapping[str, str]) -> str:
    """Return the signature by which the SDK knows that the answer is ours."""
    return _encoded(key, f"{_canonical(headers)}\n{path}", "sha1")


def content_md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _canonical(headers: Mapping[str, str]) -> str:
    signed = (name for name in headers if name.startswith(PREFIX) and name not in {SIGNATURE_V2, SIGNATURE_V4})
    return "\n".join(f"{name}:{headers[name].strip()}" for name in sorted(signed))


def _encoded(key: bytes, text: str, digest: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), digest)).decode()
