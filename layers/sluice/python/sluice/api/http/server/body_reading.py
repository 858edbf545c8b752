"""How a request's body is parsed: not before it is asked for, and a little in each turn of the event loop."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable

import h11
from uvicorn.protocols.http.flow_control import FlowControl

EVENTS_IN_TURN = 64
"""Chunks of a body that are parsed for one connection in a turn of the event loop: about a millisecond of it."""


def body_bytes(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """The length of a request's body as its checked head declares it; infinite for one in chunks."""
    fields = dict(headers)
    return math.inf if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))


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


class GatedH11(h11.Connection):
    """A server's h11 that gives out nothing of a body before ``is_body_wanted``, and then ``events_left`` events."""

    def __init__(self, head_bytes_max: int) -> None:
        super().__init__(h11.SERVER, head_bytes_max)
        self.is_body_wanted = False
        self.events_left = EVENTS_IN_TURN

    @property
    def is_gated(self) -> bool:
        """Whether a body is next that is not wanted yet."""
        return self.their_state is h11.SEND_BODY and not self.is_body_wanted

    @property
    def is_out_of_turn(self) -> bool:
        """Whether a body is next of which this turn has had its events; its buffer may be empty."""
        return self.their_state is h11.SEND_BODY and self.is_body_wanted and self.events_left <= 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        if self.is_gated or self.is_out_of_turn:
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.is_body_wanted = not body_bytes(event.headers)  # an empty one has only its end
        self.events_left -= 1
        return event


class BodyFlow(FlowControl):
    """uvicorn's flow control, which also reads nothing while what was read waits to be parsed."""

    _is_behind = False

    def set_behind(self, *, is_behind: bool) -> None:
        self._is_behind = is_behind
        self._apply()

    def pause_reading(self) -> None:
        self.read_paused = True
        self._apply()

    def resume_reading(self) -> None:
        self.read_paused = False
        self._apply()

    def _apply(self) -> None:
        """Pause or resume the transport, whatever it was: uvicorn also resumes it without asking here."""
        if self.read_paused or self._is_behind:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
