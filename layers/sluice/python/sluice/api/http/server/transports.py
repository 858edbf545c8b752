"""What lies between a connection and its socket: TLS, and an end that lets the caller read its answer."""

from __future__ import annotations

import asyncio
import math
from asyncio.sslproto import SSLProtocol

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from sluice.api.http.server.connection_rules import ConnectionRules
from sluice.domain.limits import KIB


class Tls(SSLProtocol):
    """asyncio's TLS, begun by the connection that it is for, so that one is counted before its handshake."""

    max_size = 16 * KIB
    """Its read buffer, for a record of TLS: asyncio's own is 256 KiB from the first moment on."""

    def __init__(self, connection: H11Protocol, rules: ConnectionRules) -> None:
        assert rules.tls is not None
        shaken = connection.loop.create_future()
        shaken.add_done_callback(asyncio.Future.exception)  # which asyncio would log if it were not looked at
        wait_s = math.ceil(rules.stranger_s)
        super().__init__(connection.loop, connection, rules.tls, shaken, server_side=True, ssl_handshake_timeout=wait_s)
        self._connection = connection

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._connection.connections.discard(self._connection)  # it hears of no end before the handshake's


class StillOpen:
    """A transport for uvicorn's last answer on a connection, which it would close before the caller could read it."""

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self._transport, self._cycle = transport, cycle

    def close(self) -> None:
        """Close after half an answer; after a whole one ``on_response_complete`` sees to it."""
        if not self._cycle.response_complete:
            self._transport.close()
