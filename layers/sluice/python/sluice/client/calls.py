"""Calls of the HTTP API: JSON in, JSON out, repeated while that can help; every call made here may be repeated."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urljoin

from sluice import __version__
from sluice.client.answers import Answer
from sluice.client.connections import Connections, Request, Timeouts, check_url
from sluice.client.errors import UNEXPECTED_ANSWER, UNREACHABLE, SluiceApiError, problem_of, retry_after_of
from sluice.domain.secret import Secret
from sluice.ports.clock import Clock, Randomness
from sluice.ports.retry import CLIENT_CALLS

T = TypeVar("T")

RETRY_FOR_S = CLIENT_CALLS.within_s
"""How long a call is repeated."""
FIRST_CONTACT_S = 10.0
"""How long a server is tried to be reached that never was: a wrong address should not take minutes to be noticed."""
ANSWER_BYTES_MAX = 64 << 20
REDIRECTS_MAX = 5
BLOCK_BYTES = 1 << 18
USER_AGENT = f"sluice-client/{__version__}"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429, 502, 503, 504})


class Calls:
    """One service. Thread-safe."""

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None = None,
        clock: Clock,
        randomness: Randomness,
        retry_for_s: float = RETRY_FOR_S,
        on_retry: Callable[[str], object] = lambda _: None,
    ) -> None:
        if not (token.reveal().isascii() and token.reveal().isprintable()):
            raise ValueError("an API key is printable ASCII text")
        is_tls = check_url(url).scheme == "https"
        self.url = url.rstrip("/")
        self._token = token
        self.timeouts = timeouts
        self._tls = ssl.create_default_context() if is_tls and tls is None else tls
        self._connections = self.new_connections()
        self._retry_for_s = retry_for_s
        self._on_retry = on_retry
        self._was_reached = False
        self.clock = clock
        self.randomness = randomness

    def new_connections(self) -> Connections:
        """Connections beside those of every call, which may be closed without disturbing one."""
        return Connections(self.timeouts, self._tls)

    def close(self) -> None:
        self._connections.close()

    def key_header(self, key: str | None) -> dict[str, str]:
        """The header of an idempotency key, of a random one where none is given. Raises ``ValueError``."""
        key = self.randomness.bytes(16).hex() if key is None else key
        if not key.isprintable() or key.strip() != key:
            raise ValueError("an idempotency key is printable text without blanks at its ends, which HTTP takes away")
        return {"Idempotency-Key": key.encode().decode("latin-1")}  # http.client sends text as Latin-1

    def json(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry_for_s: float | None = None,
    ) -> Answer:
        """Call with ``body`` as JSON and decode the answer. Raises ``SluiceApiError``."""
        try:
            content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise SluiceApiError("INVALID_TEXT", "Text is not valid Unicode.", who="client") from None
        request = self.request(method, path, content, headers)
        return self.repeat(lambda: self.attempt(request), retry_for_s=retry_for_s)

    def request(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str] | None = None
    ) -> Request:
        """Build a request; ``content`` is JSON.

        ``path`` is one of the service, which gets the credential, or a whole address, which gets none.
        """
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **(headers or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        if path.startswith("/"):
            return Request(method, self.url + path, content, sent, self._token)
        return Request(method, path, content, sent)

    def attempt(self, request: Request, *, connections: Connections | None = None) -> Answer:
        """Call once. A redirect is refused: the credential would go elsewhere, and a POST would become a GET."""
        with _named_failures(), (connections or self._connections).exchange(request) as response:
            body = _read_whole(response)
        self._was_reached = True
        if response.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(response, body)
        try:
            answer = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise SluiceApiError(UNEXPECTED_ANSWER, f"{self.url} answers, but not as a Sluice service does")
        return Answer(answer)

    def repeat(
        self,
        action: Callable[[], T],
        *,
        retry_for_s: float | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> T:
        """Do ``action`` until it does not fail transiently, with growing pauses, or the time for that is over.

        Time and pauses begin anew where ``progress`` gives another value than at the failure before.
        """
        started, tried, reached = self.clock.monotonic(), 0, progress()
        while True:
            try:
                return action()
            except SluiceApiError as error:
                if not is_transient(error):
                    raise
                if progress() != reached:
                    started, tried, reached = self.clock.monotonic(), 0, progress()
                limit_s = self._retry_for_s if retry_for_s is None else retry_for_s
                if not self._was_reached:
                    limit_s = min(limit_s, FIRST_CONTACT_S)
                tried += 1
                wait_s = replace(CLIENT_CALLS, within_s=limit_s).wait_s(
                    tried,
                    fraction=self.randomness.fraction(),
                    elapsed_s=self.clock.monotonic() - started,
                    asked_s=error.retry_after_s or 0,
                )
                if wait_s is None:
                    raise
                self._on_retry(f"again in {wait_s:.0f} s: {error.detail}")
                self.clock.sleep(wait_s)

    def read_link(self, url: str, offset: int) -> Generator[tuple[int, bytes]]:
        """Yield what a link leads to, block by block, each with its position; without the credential.

        Begins at ``offset``, or at 0 where the store sends the whole file. Tries once; follows redirects.
        """
        headers = {"User-Agent": USER_AGENT}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        target = urljoin(self.url + "/", url)
        for _ in range(REDIRECTS_MAX + 1):
            try:
                check_url(target)
            except ValueError:
                raise SluiceApiError(UNEXPECTED_ANSWER, "the file's link is not an address of the web") from None
            with _named_failures(), self._connections.exchange(Request("GET", target, None, headers)) as response:
                if response.status < http.HTTPStatus.MULTIPLE_CHOICES:
                    yield from _blocks(response, offset)
                    return
                if offset and response.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # the connection broke behind the last byte
                body = _read_whole(response)
                if response.status not in _REDIRECTS:
                    raise self._refusal(response, body)
                location = urljoin(target, response.headers.get("location", ""))
                if target.startswith("https:") and not location.startswith("https:"):
                    raise SluiceApiError(UNEXPECTED_ANSWER, "the file's link is redirected from HTTPS to HTTP")
                target = location
        raise SluiceApiError(UNEXPECTED_ANSWER, "the file's link is redirected again and again")

    def _refusal(self, response: http.client.HTTPResponse, body: bytes) -> SluiceApiError:
        """The problem document of an answer, or an error that says what answered."""
        headers = {name.lower(): value for name, value in response.getheaders()}
        problem = problem_of(response.status, body, headers)
        if problem is not None:
            return problem
        detail = f"the server answered {response.status} {response.reason}, not as a Sluice service does"
        if response.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE or b'"EntityTooLarge"' in body:
            detail += "; a gateway before the service takes no request of that size (Function Compute: 32 MB)"
        if response.status in _REDIRECTS:
            detail += f"; it points to {headers.get('location', '').partition('?')[0]}"
        return SluiceApiError(
            UNEXPECTED_ANSWER,
            detail,
            status=response.status,
            retryable=response.status in _TRANSIENT,
            request_id=headers.get("x-request-id", ""),
            retry_after_s=retry_after_of(headers),
        )


def is_transient(error: SluiceApiError) -> bool:
    """Whether the same call, made again in a moment, may succeed by itself."""
    if error.code == UNREACHABLE:
        return error.retryable
    status = error.status or 0
    return status in _TRANSIENT or (status >= http.HTTPStatus.INTERNAL_SERVER_ERROR and error.retryable)


def is_refusal(error: SluiceApiError) -> bool:
    """Whether the service itself has answered this, and not a network or a proxy on the way to it."""
    return error.status is not None and error.code != UNEXPECTED_ANSWER


@contextmanager
def _named_failures() -> Iterator[None]:
    """Raise what connections raise as ``SluiceApiError``."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        is_final = isinstance(error, ssl.SSLCertVerificationError) or (
            isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
        )
        raise SluiceApiError(UNREACHABLE, f"the server cannot be reached: {reason}", retryable=not is_final) from None


def _read_whole(response: http.client.HTTPResponse) -> bytes:
    """Read an answer's body. A connection that ends too early is noticed: ``read`` with a bound does not raise."""
    body = response.read(ANSWER_BYTES_MAX)
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    return body


def _blocks(response: http.client.HTTPResponse, offset: int) -> Iterator[tuple[int, bytes]]:
    position = offset if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
    while block := response.read(BLOCK_BYTES):
        yield position, block
        position += len(block)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
