"""Asks a function of Function Compute 3.0 for a worker, by one signed asynchronous HTTP call."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from sluice.adapters.aliyun.credentials import Credentials, CredentialsSource
from sluice.adapters.aliyun.function_compute.oss_event import MakesEvents, async_call_id
from sluice.domain.keys import ManifestRef
from sluice.domain.timestamps import iso_time
from sluice.ports.clock import Clock, Randomness
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused

INVOKE_PATH = re.compile(r"/2023-03-30/functions/[^/]+/invocations")
"""The path of the interface's own call; any other address is that of an HTTP trigger."""
ANSWER_BYTES_MAX = 4096


class FcHttpInvoker:
    """Invokes by calling ``url``: a function's HTTP trigger, or the interface's own call InvokeFunction.

    The interface is ``https://ACCOUNT.REGION.fc.aliyuncs.com/2023-03-30/functions/NAME/invocations``:
    the function gets the event as it is. Through an HTTP trigger it gets an
    event that describes the HTTP request, with ours as its body.
    """

    def __init__(
        self,
        url: str,
        events: MakesEvents,
        *,
        credentials: CredentialsSource,
        clock: Clock,
        randomness: Randomness,
        timeout_s: float,
    ) -> None:
        self._url = urlsplit(url)
        self._events = events
        self._credentials = credentials
        self._clock = clock
        self._randomness = randomness
        self._timeout_s = timeout_s

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Hand the call over; Function Compute runs it when it can. A call that it already knows is no error.

        Raises ``StoreRefused`` and ``OutcomeUnknown``; the sweeper notes either and asks again in its next round.
        """
        now = self._clock.now()
        event = self._events.event(manifest, at=now)
        nonce = self._randomness.bytes(16).hex()
        signed = signed_call(self._url, event, self._credentials(), at=now, nonce=nonce)
        asynchronous = {
            "x-fc-invocation-type": "Async",
            "x-fc-async-task-id": async_call_id(manifest, epoch=epoch, at=now),
        }
        check_accepted(*self._post(event, {**signed, **asynchronous}))

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """The status, the headers by lower-case name, and the body as far as it is of use."""
        # A fresh connection each: calls are rare, and an idle one would often be found closed.
        host, port, timeout_s = self._url.hostname or "", self._url.port, self._timeout_s
        if self._url.scheme == "https":
            connection: HTTPConnection = HTTPSConnection(
                host, port, timeout=timeout_s, context=ssl.create_default_context()
            )
        else:
            connection = HTTPConnection(host, port, timeout=timeout_s)
        try:
            connection.request("POST", self._url.path or "/", body, dict(headers))
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read(ANSWER_BYTES_MAX)
        except (OSError, HTTPException) as error:
            raise OutcomeUnknown(f"Function Compute did not answer: {type(error).__name__}") from error
        finally:
            connection.close()


def signed_call(url: SplitResult, event: bytes, credentials: Credentials, *, at: float, nonce: str) -> dict[str, str]:
    """Make the headers of a POST of ``event`` to ``url``: a function's HTTP trigger, or the call InvokeFunction."""
    path = unquote(url.path) or "/"
    headers = {"x-acs-date": iso_time(at, "seconds")}
    if credentials.security_token:
        headers["x-acs-security-token"] = credentials.security_token.reveal()
    if not INVOKE_PATH.fullmatch(path):
        # The gateway before HTTP triggers does not sign the body.
        authorization = acs3_authorization(Acs3Request("POST", path, headers, payload_sha256=""), credentials)
        return {**headers, "content-type": "application/json", "authorization": authorization}
    digest = hashlib.sha256(event).hexdigest()
    headers |= {
        "host": url.netloc,
        "content-type": "application/octet-stream",
        "x-acs-action": "InvokeFunction",
        "x-acs-version": "2023-03-30",
        "x-acs-content-sha256": digest,
        "x-acs-signature-nonce": nonce,
    }
    request = Acs3Request("POST", path, headers, payload_sha256=digest)
    return {**headers, "authorization": acs3_authorization(request, credentials)}


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


REQUEST_ID_HEADERS = ("x-fc-request-id", "x-acs-request-id")
ERROR_TYPE_HEADER = "x-fc-error-type"
KNOWN_CALL = "StatefulAsyncInvocationAlreadyExists"
CODE_FIELDS = ("Code", "ErrorCode")
"""Of functions of 3.0 and of services of 2.0."""


def check_accepted(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Return when the call was taken, now or before, when its id is known; ``headers`` by lower-case name.

    A known id has the status 409 or the code ``KNOWN_CALL``: which status comes with that code is not documented.

    Raises ``StoreRefused`` when an operator must act, ``OutcomeUnknown`` for
    what may pass. The body's words stay out of the message: they may repeat
    what was signed.
    """
    error_type = headers.get(ERROR_TYPE_HEADER, "")
    code = error_type or _code(body)
    if (status < HTTPStatus.MULTIPLE_CHOICES and not error_type) or status == HTTPStatus.CONFLICT or code == KNOWN_CALL:
        return
    request_id = next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), "")
    words = f"Function Compute did not take a call for a worker: {status} {code} (request {request_id or 'unknown'})"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR or error_type:
        raise OutcomeUnknown(words)
    raise StoreRefused(words, code=code or str(status), request_id=request_id)


def _code(body: bytes) -> str:
    """The error's code, if the body is what it should be; gateways on the way answer in HTML or not at all."""
    try:
        fields = json.loads(body)
    except ValueError:
        return ""
    named = (fields.get(field) for field in CODE_FIELDS) if isinstance(fields, dict) else ()
    return next((code for code in named if isinstance(code, str)), "")
