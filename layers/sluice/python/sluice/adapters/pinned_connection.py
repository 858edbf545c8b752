"""A connection to one of the addresses that a name has now, which was looked at; it ends when its time is up."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Event, Timer
from typing import Any, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
_Place: TypeAlias = tuple[int, int, int, str, Any]
"""As ``getaddrinfo`` gives it."""
METADATA = ip_address("100.100.100.200")
"""Of Alibaba Cloud; those of others are link-local."""


class TooLateError(OSError):
    """What was asked took longer than it may, whatever came of it: an answer that is cut off may look like a whole."""


class PinnedConnection:
    """Where a name leads is asked once, and the connection goes to an address that ``may_be`` has allowed.

    So no second answer of a name server leads elsewhere.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float,
        may_be: Callable[[Address], bool],
        refusal: str = "its address is none that may be asked",
    ) -> None:
        """``timeout_s``: of all that is done while it is open. ``tls``: None for plain text.

        ``refusal``: what is said where no address is allowed.
        """
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout_s = timeout_s
        self._may_be = may_be
        self._refusal = refusal
        self._opened: list[socket.socket] = []
        self._is_cut = Event()

    def cut(self) -> None:
        """End it, from any thread: what waits for it fails soon, and it is opened no more."""
        self._is_cut.set()
        for one in tuple(self._opened):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def open(self) -> Iterator[socket.socket]:
        """Raises ``OSError``: ``TooLateError`` where the time is up, also for what was done within."""
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        late = Timer(self._timeout_s, self.cut)
        late.daemon = True
        late.start()
        try:
            yield self._connected(found)
        finally:
            late.cancel()
            for one in self._opened:
                one.close()
            if self._is_cut.is_set():
                raise TooLateError("it takes too long")

    def _connected(self, found: Sequence[_Place]) -> socket.socket:
        refused: OSError | None = None
        for family, kind, protocol, _, place in found:
            if self._is_cut.is_set():
                break
            address = ip_address(str(place[0]).partition("%")[0])
            if not self._may_be(getattr(address, "ipv4_mapped", None) or address):
                refused = OSError(self._refusal)
                continue
            plain = socket.socket(family, kind, protocol)
            self._opened.append(plain)
            plain.settimeout(self._timeout_s)
            try:
                plain.connect(place)
                if self._tls is not None:  # the plain one is no more, and the timer has to reach what is open
                    wrapped = self._tls.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
                    self._opened[-1] = wrapped
                    wrapped.do_handshake()
            except OSError as error:
                refused = error
            else:
                return self._opened[-1]
        raise refused or OSError("it has no address")


def reason_of(error: Exception) -> str:
    """What the system or TLS says; nothing that the other service wrote."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f": {error.verify_message}"
    return f": {error.strerror or error}" if isinstance(error, OSError) else ""
