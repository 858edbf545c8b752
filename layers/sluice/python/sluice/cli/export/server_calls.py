"""Calls to a service over HTTP, repeated until they are answered; every call made here may be repeated."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
import typer

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.secret import Secret
from sluice.ports.clock import Clock, Randomness

T = TypeVar("T")

ANSWER_BYTES_MAX = 1 << 20
TIMEOUT_S = 60.0
WAIT_S, WAIT_MAX_S = 0.1, 5.0
RETRY_AFTER_MAX_S = 30.0
TRANSIENT_STATUS = frozenset({408, 425, 429, 502, 503, 504})
_PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "who", "retryable", "request_id"}


class ServerError(Exception):
    """The server could not be reached, or what answers there is no service of ours."""


class _Transient(Exception):
    """A failure that the same call may not meet again."""

    def __init__(self, cause: Exception, retry_after_s: float | None = None) -> None:
        self.cause = cause
        self.retry_after_s = retry_after_s
        super().__init__(str(cause))


class Call(NamedTuple):
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected call would carry the credential to another place, and a POST would become a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


_api = urllib.request.build_opener(_NoRedirects)
_files = urllib.request.build_opener()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCalls:
    """One service. ``patience_s`` is how long a call goes on failing before it is given up."""

    url: str
    token: Secret = field(default_factory=lambda: Secret(""))
    clock: Clock
    randomness: Randomness
    patience_s: float = 120
    noted: Callable[[str], None] = lambda _: None
    """Told why a call is about to be repeated."""

    def json(self, call: Call, *, patience_s: float | None = None) -> dict[str, Any]:
        """Call and decode the answer. Raises the ``SluiceError`` the service answered with, and ``ServerError``."""
        body = self.repeat(lambda: self._once(call), patience_s=patience_s)
        try:
            return msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        except msgspec.MsgspecError:
            raise ServerError(f"{self.url} answers, but not as a Sluice service does") from None

    def open_file(self, url: str, offset: int) -> IO[bytes]:
        """Begin to read what a link leads to, from ``offset``. Tries once; no credential goes with it."""
        absolute = _checked(urljoin(self.url, url))
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        request = urllib.request.Request(absolute, headers=headers)  # noqa: S310 - the scheme was checked
        answer: IO[bytes] = _told(lambda: _files.open(request, timeout=TIMEOUT_S))
        return answer

    def repeat(self, action: Callable[[], T], *, patience_s: float | None = None) -> T:
        """Do ``action`` until it does not fail transiently, with growing pauses, or patience is over."""
        give_up_at = self.clock.monotonic() + (self.patience_s if patience_s is None else patience_s)
        wait_s = WAIT_S
        while True:
            try:
                return action()
            except _Transient as error:
                pause_s = wait_s * (0.5 + self.randomness.fraction() / 2)
                if error.retry_after_s is not None:
                    pause_s = min(error.retry_after_s, RETRY_AFTER_MAX_S)
                if self.clock.monotonic() + pause_s > give_up_at:
                    raise error.cause from None
                self.noted(f"again in {pause_s:.0f} s: {error.cause}")
                self.clock.sleep(pause_s)
                wait_s = min(wait_s * 2, WAIT_MAX_S)

    def _once(self, call: Call) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the options were read
            self.url + call.path, data=call.body, headers=dict(call.headers), method=call.method
        )
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token.reveal()}")

        def read() -> bytes:
            with _api.open(request, timeout=TIMEOUT_S) as answer:
                return _read_whole(answer)

        return _told(read)


def check_server(url: str) -> str:
    """Take the address of a service, without a slash at its end. Raises ``typer.BadParameter``."""
    try:
        return _checked(url).rstrip("/")
    except ServerError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None


def told_transient(cause: Exception) -> Exception:
    """Mark what the caller itself found as worth a repeat, inside ``ServerCalls.repeat``."""
    return _Transient(cause)


def _checked(url: str) -> str:
    """Only the web: urllib would open files and more."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.username is not None:
        raise ServerError("an address such as https://exports.example.com is expected")
    return url


def _told(action: Callable[[], T]) -> T:
    """Sort what can go wrong with a request into transient and final."""
    try:
        return action()
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error) from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        failure = ServerError(f"the server cannot be reached: {_words(reason)}")
        raise (failure if _is_final(reason) else _Transient(failure)) from None


def _read_whole(answer: Any) -> bytes:
    """Read an answer's body. A connection that ends too early is noticed: ``read`` with a bound does not raise."""
    body = bytes(answer.read(ANSWER_BYTES_MAX))
    if getattr(answer, "length", 0):
        raise http.client.IncompleteRead(body, answer.length)
    return body


def _is_final(reason: object) -> bool:
    unknown_name = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME
    return unknown_name or isinstance(reason, ssl.SSLCertVerificationError)


def _words(reason: object) -> str:
    words = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return words or type(reason).__name__


def _refusal(error: urllib.error.HTTPError) -> Exception:
    """What the service said, as the error it meant."""
    try:
        body = _read_whole(error.fp)
    except (OSError, http.client.HTTPException) as broken:
        return _Transient(ServerError(f"the server cannot be reached: {_words(broken)}"))
    meant = read_problem(body) or ServerError(
        f"the server answered {error.code} {error.reason}, not as a Sluice service does{_elsewhere(error.headers)}"
    )
    again = meant.retryable if isinstance(meant, SluiceError) else False
    if error.code in TRANSIENT_STATUS or (error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR and again):
        return _Transient(meant, _retry_after_s(error.headers))
    return meant


def _elsewhere(headers: Message) -> str:
    location = headers.get("location")
    return f"; it points to {location}" if location else ""


def _retry_after_s(headers: Message) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


def read_problem(body: bytes) -> SluiceError | None:
    """Read a problem+json body back into the error it was made from; None when it is none."""
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
        code = ErrorCode(problem["code"])
    except (msgspec.MsgspecError, KeyError, ValueError):
        return None
    facts = {name: value for name, value in problem.items() if name not in _PROBLEM_KEYS}
    return SluiceError(code, str(problem.get("detail") or "") or None, **facts)
