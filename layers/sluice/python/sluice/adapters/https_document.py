"""Implements ``FetchesDocument`` by HTTPS: to the address that its name has now, and never to where an answer leads."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from sluice.adapters.pinned_connection import METADATA, Address, PinnedConnection, TooLateError, reason_of
from sluice.ports.documents import DocumentError

BYTES_MAX = 256 * 1024
TIMEOUT_S = 5.0
"""Of one fetch as a whole, once the address is known."""
_HTTPS = "https"
_OK = 200


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
            with self._pinned().open() as connection:
                return self._read(connection)
        except (TimeoutError, TooLateError) as error:
            raise DocumentError(f"{self._host} takes longer than {self._timeout_s:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DocumentError(f"{self._host} cannot be asked: {type(error).__name__}{reason_of(error)}") from error

    def _pinned(self) -> PinnedConnection:
        return PinnedConnection(
            self._host,
            self._port,
            tls=self._tls,
            timeout_s=self._timeout_s,
            may_be=self._may_be,
            refusal="its address is none that a document may be at",
        )

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

    def _may_be(self, address: Address) -> bool:
        if not self._is_tls:
            return bool(address.is_loopback)
        return not (address.is_link_local or address.is_multicast or address.is_unspecified or address == METADATA)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
