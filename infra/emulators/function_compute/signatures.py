"""Checks the signatures of calls to Function Compute from what arrived; shares no code with the callers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ACS3 = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<id>[^,]+),SignedHeaders=(?P<names>[^,]+),Signature=(?P<sig>[0-9a-f]+)"
)
FC2 = re.compile(r"FC (?P<id>[^:]+):(?P<sig>.+)")


class ArrivedCall:
    """A request as a server sees it; ``headers`` by lower-case name, ``target`` with its query."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method, self.headers, self.body = method, headers, body
        self.parts = urlsplit(target)


def acs3_complaint(call: ArrivedCall, keys: Mapping[str, str], *, body_is_signed: bool) -> str:
    """What is wrong with an ACS3-HMAC-SHA256 signature; empty when nothing is. ``keys`` are secrets by id."""
    match = ACS3.fullmatch(call.headers.get("authorization", ""))
    if match is None:
        return "no authorization of this kind"
    names = match["names"].split(";")
    unsigned = {name for name in call.headers if name.startswith("x-acs-")} - set(names)
    if unsigned or names != sorted(names):
        return f"not signed, or not in order: {unsigned or names}"
    digest = hashlib.sha256(call.body).hexdigest() if body_is_signed else ""
    if body_is_signed and call.headers.get("x-acs-content-sha256") != digest:
        return "the digest of the body differs"
    canonical = f"{call.method}\n{quote(unquote(call.parts.path), safe='/~')}\n"
    canonical += "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(parse_qsl(call.parts.query)))
    canonical += "\n" + "".join(f"{name}:{call.headers[name].strip()}\n" for name in names)
    canonical += "\n" + ";".join(names) + "\n" + digest
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    expected = hmac.digest(keys.get(match["id"], "").encode(), to_sign.encode(), "sha256").hex()
    return "" if hmac.compare_digest(expected, match["sig"]) else f"the signature differs over {canonical!r}"


def fc2_complaint(call: ArrivedCall, keys: Mapping[str, str]) -> str:
    """What is wrong with a signature of Function Compute 2.0; empty when nothing is."""
    match = FC2.fullmatch(call.headers.get("authorization", ""))
    if match is None:
        return "no authorization of this kind"
    lines = [call.method, *(call.headers.get(name, "") for name in ("content-md5", "content-type", "date"))]
    lines += [f"{name}:{value}" for name, value in sorted(call.headers.items()) if name.startswith("x-fc-")]
    to_sign = "\n".join([*lines, unquote(call.parts.path)])
    expected = base64.b64encode(hmac.digest(keys.get(match["id"], "").encode(), to_sign.encode(), "sha256")).decode()
    return "" if hmac.compare_digest(expected, match["sig"]) else f"the signature differs over {to_sign!r}"
