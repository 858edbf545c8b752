"""Stands between a connection and the driver of PostgreSQL, which never returns from a message of impossible length."""

from __future__ import annotations

import asyncio
from typing import Any

from sluice.domain.limits import MIB

MESSAGE_BYTES_MAX = 16 * MIB
"""Of anything but the rows of a table."""
_LENGTH_BYTES = 4
_HEAD_BYTES = 1 + _LENGTH_BYTES


class MessageGuard(asyncio.Protocol):
    """Gives on what comes as long as its messages have lengths that can be; else cuts the connection off.

    The rows of a COPY are too many to look at each; ``trust`` is called
    before them. By then the server has let us in and described the table.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._transport: asyncio.BaseTransport | None = None
        self._is_watching = True
        self._head = b""
        self._left = 0

    def trust(self) -> None:
        """Look at no more messages."""
        self._is_watching = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.driver.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.driver.connection_lost(exc)

    def pause_writing(self) -> None:
        self.driver.pause_writing()

    def resume_writing(self) -> None:
        self.driver.resume_writing()

    def eof_received(self) -> bool | None:
        return bool(self.driver.eof_received())

    def data_received(self, data: bytes) -> None:
        if not self._is_watching or self._is_sound(data):
            self.driver.data_received(data)
        elif isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def _is_sound(self, data: bytes) -> bool:
        """Whether each length that is in ``data`` can be one; messages may begin and end anywhere."""
        data = self._head + data
        at = self._left
        while at + _HEAD_BYTES <= len(data):
            length = int.from_bytes(data[at + 1 : at + _HEAD_BYTES], "big", signed=True)
            if not _LENGTH_BYTES <= length <= MESSAGE_BYTES_MAX:
                return False
            at += 1 + length
        self._head, self._left = data[at:], max(0, at - len(data))
        return True
