"""HTTP/1.1 connections of the standard library: kept for the next request, with time-outs and the system's proxies."""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from sluice.domain.secret import NO_SECRET, Secret

_PORTS = {"http": 80, "https": 443}


class Timeouts(NamedTuple):
    """Seconds that one step may take."""

    connect_s: float = 5
    """For a connection, TLS included."""
    answer_s: float = 60
    """For each wait for bytes to come or to go."""


TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """Its text, which traces with local variables show, has neither the rows nor what the address leads to."""

    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    credential: Secret = NO_SECRET

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.partition('?')[0]})"


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class Connections:
    """Sends requests to any host. Thread-safe; a connection serves one request at a time."""

    def __init__(self, timeouts: Timeouts, tls: ssl.SSLContext | None = None) -> None:
        self._timeouts = timeouts
        self._tls = tls
        self._lock = Lock()
        self._is_closed = False
        self._idle: dict[_Origin, list[http.client.HTTPConnection]] = {}
        self._leased: set[http.client.HTTPConnection] = set()
        self._proxies: dict[_Origin, SplitResult | None] = {}

    @contextmanager
    def exchange(self, request: Request) -> Iterator[http.client.HTTPResponse]:
        """Send a request and give the response, its body unread; redirects are not followed.

        Where the body was read to its end, the connection serves the next
        request. Raises ``OSError`` and ``http.client.HTTPException``.
        """
        origin = _origin_of(check_url(request.url))
        with self._lock:
            kept = self._idle.get(origin)
            connection = kept.pop() if kept else self._make(origin)
            self._leased.add(connection)
        is_reusable = False
        try:
            response = self._send(connection, request)
            yield response
            is_reusable = response.isclosed() and not response.will_close
        finally:
            with self._lock:
                self._leased.discard(connection)
                is_reusable = is_reusable and not self._is_closed
                if is_reusable:
                    self._idle.setdefault(origin, []).append(connection)
            if not is_reusable:
                connection.close()

    def close(self) -> None:
        """Close every connection; a request that is under way in another thread fails."""
        with self._lock:
            self._is_closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            leased = list(self._leased)
            self._idle.clear()
        for connection in idle:
            connection.close()
        for connection in leased:
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
        """Send; once more over a new connection if the server closed a kept one before it answered."""
        is_kept = connection.sock is not None
        try:
            return self._send_once(connection, request)
        except (ConnectionError, http.client.BadStatusLine):
            connection.close()
            if not is_kept:
                raise
            return self._send_once(connection, request)

    def _send_once(self, connection: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
        is_open = connection.sock is not None
        if not is_open:
            connection.connect()
            connection.sock.settimeout(self._timeouts.answer_s)
            if self._is_closed:
                raise ConnectionAbortedError("the client is closed")
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.scheme == "http" and self._proxies[_origin_of(parts)]:
            target = f"http://{parts.netloc}{target}"
        try:
            self._write(connection, request, target)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a body may answer and close before it has read all of it: the answer counts.
            response = connection.getresponse()
            response.will_close = True
            return response
        return connection.getresponse()

    def _write(self, connection: http.client.HTTPConnection, request: Request, target: str) -> None:
        """Send a request's head and body. What this raises has no frames of the library, where the credential is."""
        try:
            connection.request(request.method, target, request.body, self._headers_of(request))
        except BaseException as error:  # noqa: BLE001 -- it goes on, without its frames
            raise error.with_traceback(None) from None

    def _headers_of(self, request: Request) -> dict[str, str]:
        """Those that it is sent with; no variable has them."""
        parts = urlsplit(request.url)
        return {
            **request.headers,
            **({"Authorization": f"Bearer {request.credential.reveal()}"} if request.credential else {}),
            **(_proxy_headers(self._proxies[_origin_of(parts)]) if parts.scheme == "http" else {}),
        }

    def _make(self, origin: _Origin) -> http.client.HTTPConnection:
        """A connection that is not open yet, through the proxy that the system names for the host."""
        proxy = self._proxies[origin] = _proxy_of(origin)
        host, port = origin.host, origin.port
        if proxy:
            host, port = str(proxy.hostname), proxy.port or _PORTS["http"]
        if origin.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeouts.connect_s)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=self._timeouts.connect_s, context=self._tls)
        if proxy:
            connection.set_tunnel(origin.host, origin.port, headers=_proxy_headers(proxy))
        return connection


def check_url(url: str) -> SplitResult:
    """Split the address of a server. Raises ``ValueError`` for one that is not of the web, without repeating it."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in _PORTS and bool(parts.hostname) and parts.username is None
        (parts.hostname or "").encode("idna")
        is_good = is_good and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("an address such as https://exports.example.com is expected")
    return parts


def _origin_of(parts: SplitResult) -> _Origin:
    return _Origin(parts.scheme, str(parts.hostname), parts.port or _PORTS[parts.scheme])


def _proxy_of(origin: _Origin) -> SplitResult | None:
    """The proxy for the host, as the environment or the system names it."""
    address = getproxies().get(origin.scheme, "")
    if not address or proxy_bypass(origin.host):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise OSError("the proxy is not one of http")
    return proxy


def _proxy_headers(proxy: SplitResult | None) -> dict[str, str]:
    if proxy is None or proxy.username is None:
        return {}
    credential = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(credential.encode()).decode()}"}
