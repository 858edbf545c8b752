"""Implements ``FetchesDocument`` by HTTPS: to the address that its name has now, and never to where an answer leads."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Event, Timer
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from sluice.ports.documents import DocumentError

BYTES_MAX = 256 * 1024
TIMEOUT_S = 5.0
"""Of one fetch as a whole, once the address is known."""
_METADATA = ip_address("100.100.100.200")
"""Of Alibaba Cloud; those of others are link-local."""
_HTTPS = "https"
_OK = 200
_Place: TypeAlias = tuple[int, int, int, str, Any]
"""As ``getaddrinfo`` gives it."""


class HttpsDocument:
    """A document at an address that an operator has set.

    HTTPS with a certificate of the name, by the system's authorities; plain
    HTTP to this machine alone. The name is resolved once for each fetch, and
    the connection goes to an address that was looked at: private ones are
    allowed, since identity providers are where the operator says, link-local
    ones and those of a cloud's metadata are not. No redirect is followed, no
    proxy of the environment is asked.
    """

    def __init__(
        self, url: str, *, bytes_max: int = BYTES_MAX, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None
    ) -> None:
        """Raises ValueError for what is no such address. ``tls``: whom to trust, by default whom the system trusts."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in {_HTTPS, "http"} or not host or parts.username is not None or parts.fragment:
            raise ValueError("the address begins with https:// and a name, and has no user and no fragment")
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise ValueError("the address has characters that have to be escaped")
        if parts.scheme == "http" and not _is_this_machine(host):
            raise ValueError("the address begins with https://; http:// is for this machine alone")
        self._is_tls = parts.scheme == _HTTPS
        self._host = host
        self._port = parts.port or (443 if self._is_tls else 80)
        self._netloc = parts.netloc
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s
        self._tls = (tls or ssl.create_default_context()) if self._is_tls else None

    def fetch(self) -> bytes:
        """The document as it is now. Raises ``DocumentError``."""
        try:
            with self._connected() as connection:
                return self._read(connection)
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DocumentError(f"{self._host} cannot be asked: {type(error).__name__}{_reason(error)}") from error

    def _read(self, connection: socket.socket) -> bytes:
        answered = http.client.HTTPConnection(self._host, self._port)
        answered.sock = connection
        headers = {"Host": self._netloc, "Accept": "application/json", "Connection": "close"}
        answered.request("GET", self._target, headers={**headers, "Accept-Encoding": "identity"})
        with answered.getresponse() as answer:
            if answer.status != _OK:
                redirect = ", and redirects are not followed" if answer.status // 100 == 3 else ""  # noqa: PLR2004
                raise DocumentError(f"{self._host} answers with status {answer.status}{redirect}")
            data = answer.read(self._bytes_max + 1)
            if len(data) > self._bytes_max or (answer.length or 0) > 0:
                reason = "breaks off" if len(data) <= self._bytes_max else f"has more than {self._bytes_max:,} bytes"
                raise DocumentError(f"the answer of {self._host} {reason}")
            return data

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        """A connection to one of the addresses that the name has now; it ends when the time is up, whatever goes on."""
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        opened: list[socket.socket] = []
        is_late = Event()

        def end() -> None:
            is_late.set()
            for one in tuple(opened):
                _cut(one)

        late = Timer(self._timeout_s, end)
        late.daemon = True
        late.start()
        try:
            yield self._open(found, opened, is_late)
        finally:
            late.cancel()
            for one in opened:
                one.close()
            if is_late.is_set():  # whatever came of it: an answer that was cut off may look like a whole one
                raise self._late()

    def _late(self) -> DocumentError:
        return DocumentError(f"{self._host} takes longer than {self._timeout_s:g} s")

    def _open(self, found: Sequence[_Place], opened: list[socket.socket], is_late: Event) -> socket.socket:
        refused: OSError | None = None
        for family, kind, protocol, _, place in found:
            if is_late.is_set():
                break
            address = ip_address(str(place[0]).partition("%")[0])
            if not self._may_be(address):
                refused = OSError("its address is none that a document may be at")
                continue
            plain = socket.socket(family, kind, protocol)
            opened.append(plain)
            plain.settimeout(self._timeout_s)
            try:
                plain.connect(place)
                if self._tls is not None:  # the plain one is no more, and the timer has to reach what is open
                    wrapped = self._tls.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
                    opened[-1] = wrapped
                    wrapped.do_handshake()
            except OSError as error:
                refused = error
            else:
                return opened[-1]
        raise refused or OSError("it has no address")

    def _may_be(self, address: IPv4Address | IPv6Address) -> bool:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if not self._is_tls:
            return bool(mapped.is_loopback)
        return not (mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified or mapped == _METADATA)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    """What the system or TLS says; nothing that the other service wrote."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f": {error.verify_message}"
    return f": {error.strerror or error}" if isinstance(error, OSError) else ""
