"""The signature ACS3-HMAC-SHA256, by which Alibaba Cloud's interfaces and Function Compute's gateway know a caller."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from sluice.adapters.aliyun.credentials import Credentials

ALGORITHM = "ACS3-HMAC-SHA256"


class Acs3Request(NamedTuple):
    """What is signed of a request."""

    method: str
    path: str
    """As it is, not yet percent-encoded."""
    headers: Mapping[str, str]
    """Every header to be signed."""
    payload_sha256: str
    """In hexadecimal; empty for a gateway that does not sign the body."""
    query: Mapping[str, str] = {}
    """Parameters with a value: how one without is signed differs between the vendor's own descriptions."""


def acs3_authorization(request: Acs3Request, credentials: Credentials) -> str:
    """Make the value of the header ``authorization``."""
    headers = sorted((name.lower(), value.strip()) for name, value in request.headers.items())
    signed = ";".join(name for name, _ in headers)
    canonical = "\n".join(
        (
            request.method,
            quote(request.path, safe="/"),
            "&".join(
                f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(request.query.items())
            ),
            "".join(f"{name}:{value}\n" for name, value in headers),
            signed,
            request.payload_sha256,
        )
    )
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(credentials.access_key_secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={signed},Signature={signature}"
