"""What the connections of one server share: their time-outs and numbers, and the turns of their bodies."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """The time-outs of a connection, and how many connections there may be."""

    idle_s: float
    """For the head of a request to be whole, from its first byte or from the connection's first moment.

    Also for a caller to take anything of an answer that waits for it.
    """
    connections_max: int
    strangers_max: int
    """Connections whose last request let no caller in, or that had none yet; each gets one answer."""
    stranger_s: float
    """As ``idle_s``, until a caller was let in."""
    stranger_answer_s: float
    """From a stranger's request to the last byte of the answer that it takes."""
    new_request_id: Callable[[], str]
    tls: ssl.SSLContext | None = None


class BodyTurns:
    """The connections of one server that have more chunks than are parsed in a turn of its event loop.

    One of them goes on in each turn, in order, so that the length of a turn does not grow with their number.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def wait(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None]) -> None:
        """Call ``go_on`` in a later turn."""
        self._waiting.append(go_on)
        self._schedule(loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = False
        go_on = self._waiting.popleft()
        self._schedule(loop)
        go_on()
