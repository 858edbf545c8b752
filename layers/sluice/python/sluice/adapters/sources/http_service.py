"""Asks an HTTP service for pages, at an address that was looked at, with the secret of its connection."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.pinned_connection import METADATA, Address, PinnedConnection, TooLateError, reason_of
from sluice.domain.dataset import HttpConnection
from sluice.domain.limits import MIB
from sluice.domain.secret import Secret
from sluice.ports.page_service import PageAnswer, PageRequest
from sluice.ports.source import SourceError, SourceUnavailable

BYTES_MAX = 32 * MIB
"""Of one answer."""
REDIRECTS_MAX = 5
_URL_CHARS_MAX = 8_000
_SHARED = ip_network("100.64.0.0/10")
_PATH_CHARS = "/%:@!$&'()*+,;=~-._"
_MOVED = frozenset({301, 302, 303, 307, 308})


_REFUSAL = "its address is not public: the operator may name its network in allow, and has to for http://"


class HttpService:
    """Implements ``PageService``.

    Each connection goes to an address of the name that was looked at: public ones, and those of the networks that the
    operator allows. Plain HTTP goes to allowed networks alone. No proxy of the environment is asked.
    """

    def __init__(self, connection: HttpConnection, *, secret: Callable[[], Secret], folder: Path) -> None:
        self._connection = connection
        self._secret = secret
        self._folder = folder
        self._base = urlsplit(connection.url)
        self._allowed = [ip_network(network) for network in connection.allow]
        self._interruption = Interruption()

    def interrupt(self) -> None:
        """As the port says."""
        self._interruption.interrupt()

    def ask(self, request: PageRequest) -> PageAnswer:
        """As the port says."""
        url = self._link(self._base.geturl(), request.path) if request.is_link else self._address(request)
        for _ in range(REDIRECTS_MAX):
            answer = self._ask(request, url)
            if answer.status not in _MOVED:
                return answer
            if request.method != "GET":
                raise SourceError(f"{self._place} leads a POST elsewhere (status {answer.status}): set its new path")
            url = self._link(url.geturl(), answer.headers.get("location", ""))
        raise SourceError(f"{self._place} leads from one address to another without an end")

    @property
    def _place(self) -> str:
        return f"connection {self._connection.name}"

    def _address(self, request: PageRequest) -> SplitResult:
        path = self._base.path.rstrip("/") + ("/" + request.path.lstrip("/") if request.path else "")
        if ".." in path.split("/"):
            raise SourceError(f"a path below {self._place} has no ..")
        return self._base._replace(path=quote(path or "/", safe=_PATH_CHARS), query=urlencode(request.query))

    def _link(self, base: str, link: str) -> SplitResult:
        """Where a link leads. Raises ``SourceError`` for another service: the secret is not for it."""
        is_plain = bool(link) and len(link) <= _URL_CHARS_MAX and link.isascii() and link.isprintable()
        try:
            found = urlsplit(urljoin(base, link))
            same = _origin(found) == _origin(self._base) and found.username is None
        except ValueError:
            is_plain = False
        if not is_plain or " " in link:
            raise SourceError(f"{self._place} gives a link that is no address")
        if not same:
            raise SourceError(f"{self._place} gives a link that leads to another service than its own")
        return found._replace(fragment="")

    def _ask(self, request: PageRequest, url: SplitResult) -> PageAnswer:
        scheme, host, port = _origin(self._base)
        pinned = PinnedConnection(
            host,
            port,
            tls=self._tls() if scheme == "https" else None,
            timeout_s=self._connection.timeout_s,
            may_be=partial(self._may_be, is_tls=scheme == "https"),
            refusal=_REFUSAL,
        )
        headers = self._headers(has_body=request.body is not None)
        try:
            with self._interruption.ended_by(pinned.cut), pinned.open() as connection:
                return self._read(connection, request, url, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._interruption.check()
            if isinstance(error, OSError) and str(error) == _REFUSAL:
                raise SourceError(f"{self._place}: {_REFUSAL}") from None
            if isinstance(error, TimeoutError | TooLateError):
                raise SourceUnavailable(f"{self._place} takes longer than {self._connection.timeout_s:g} s") from None
            said = f"{type(error).__name__}{reason_of(error)}"
            raise SourceUnavailable(f"{self._place} cannot be asked: {said}") from None

    def _read(
        self, connection: socket.socket, request: PageRequest, url: SplitResult, headers: dict[str, str]
    ) -> PageAnswer:
        answered = http.client.HTTPConnection(*_origin(self._base)[1:])
        answered.sock = connection
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        answered.request(request.method, target, body=request.body, headers={**headers, "Host": self._base.netloc})
        with answered.getresponse() as answer:
            data = answer.read(BYTES_MAX + 1)
            if len(data) > BYTES_MAX:
                raise SourceError(
                    f"an answer of {self._place} has more than {BYTES_MAX // MIB} MiB: ask for fewer rows"
                )
            if (answer.length or 0) > 0:
                raise SourceUnavailable(f"an answer of {self._place} breaks off")
            found = {name.lower(): value for name, value in answer.getheaders()}
            if found.get("content-encoding", "identity").lower() != "identity":
                raise SourceError(f"{self._place} packs its answers, which was not asked for")
            return PageAnswer(answer.status, found, data, url.geturl())

    def _headers(self, *, has_body: bool) -> dict[str, str]:
        where, secret = self._connection, self._secret().reveal()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
        headers["User-Agent"] = "sluice"
        if has_body:
            headers["Content-Type"] = "application/json"
        if where.auth == "none":
            return headers
        if not secret or not (secret.isascii() and secret.isprintable()):
            raise SourceError(f"{self._place}: its secret is none that a header may have")
        match where.auth:
            case "bearer":
                headers["Authorization"] = f"Bearer {secret}"
            case "basic":
                pair = base64.b64encode(f"{where.user}:{secret}".encode()).decode()
                headers["Authorization"] = f"Basic {pair}"
            case "header":
                headers[where.header] = secret
        return headers

    def _tls(self) -> ssl.SSLContext:
        ca = self._connection.tls_ca
        return ssl.create_default_context(cafile=str(self._folder / ca) if ca else None)

    def _may_be(self, address: Address, *, is_tls: bool) -> bool:
        if address == METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        if any(address in network for network in self._allowed):
            return True
        is_shared = address.version == 4 and address in _SHARED  # noqa: PLR2004
        return is_tls and address.is_global and not is_shared


def _origin(url: SplitResult) -> tuple[str, str, int]:
    """Scheme, host and port. Raises ValueError."""
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, (url.hostname or "").lower(), port
