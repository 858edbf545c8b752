"""Checks that a notice comes from who has the secret: the Standard Webhooks specification, its ``v1`` signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.adapters.system_clock import SystemClock
from sluice.client.errors import SluiceApiError
from sluice.domain.secret import Secret

_TOLERANCE_S = 300


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secrets: str | Sequence[str], *, now: float | None = None
) -> dict[str, Any]:
    """Return the notice, when it is genuine and not from long ago.

    ``body`` is as it came, byte for byte; ``headers`` are by name in any case;
    a secret is ``whsec_…``, two of them while one is exchanged for another.
    Raises ``SluiceApiError`` NOT_GENUINE, and ``ValueError`` for what is no secret.
    """
    known = [Secret(one) for one in ([secrets] if isinstance(secrets, str) else secrets)]
    del secrets  # a trace with local variables shows what is one
    found = {name.lower(): value for name, value in headers.items()}
    message_id, time = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    if not message_id or not re.fullmatch("[0-9]{1,12}", time):
        raise _not_genuine("The notice has no id or no time.")
    if abs((SystemClock().now() if now is None else now) - int(time)) > _TOLERANCE_S:
        raise _not_genuine("The notice is from another time; is the clock right?")
    signatures = found.get("webhook-signature", "").encode(errors="surrogateescape").split(b" ")
    for secret in known:
        signed = f"{message_id}.{time}.".encode(errors="surrogateescape") + body
        digest = hmac.digest(_key_of(secret), signed, hashlib.sha256)
        expected = b"v1," + base64.b64encode(digest)
        if any(hmac.compare_digest(expected, one) for one in signatures):
            return _notice_in(body)
    raise _not_genuine("No signature of the notice is of this secret.")


def _notice_in(body: bytes) -> dict[str, Any]:
    try:
        notice = json.loads(body)
    except (ValueError, RecursionError):
        notice = None
    if not isinstance(notice, dict):
        raise _not_genuine("The notice is no JSON object.")
    return notice


def _key_of(secret: Secret) -> bytes:
    try:
        key = base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("a secret of webhooks is whsec_ and Base64")
    return key


def _not_genuine(detail: str) -> SluiceApiError:
    return SluiceApiError("NOT_GENUINE", detail, who="client")
