"""One HTTP connection: what may happen on it before a request is whole, and after it was refused."""

from __future__ import annotations

import asyncio
import fcntl
import termios
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, cast

import h11
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from sluice.api.error_status import problem, retry_after_s
from sluice.api.http.errors import KNOWN_KEY, PROBLEM_TYPE, invalid_request
from sluice.domain.errors import ErrorCode, SluiceError

LINGER_S = 2.0
"""How long a caller that is still sending may read the refusal before its connection is closed."""
KNOWN_LINGER_S = 60.0
"""The same for a caller that was let in: it may send its body to the end before it reads the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """The time-outs of a connection, and how many connections there may be."""

    idle_s: float
    """For the head of a request to be whole, from its first byte or from the connection's first moment.

    Also for a caller to take anything of an answer that waits for it.
    """
    connections_max: int
    strangers_max: int
    """Connections on which no caller was let in yet; of more, the one that has said nothing for longest is closed."""
    stranger_s: float
    """As ``idle_s``, until a caller was let in."""
    new_request_id: Callable[[], str]


def connection_factory(rules: ConnectionRules) -> type[asyncio.Protocol]:
    """Build what the server makes connections with; it calls it like the class and passes nothing of ours."""
    return cast(type[asyncio.Protocol], partial(_Connection, rules=rules))


class OneShotTimer:
    """Calls back once, unless it is stopped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        """Call back in so many seconds; a timer that is running keeps its time."""
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._expire)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _expire(self) -> None:
        self._handle = None
        self._callback()


class _Connection(H11Protocol):
    """uvicorn's connection, whose class is private: `tests/unit/api/test_http_pins.py` fails on an upgrade.

    Closes connections that drip a request's head, are too many, go on sending after a refusal, or do not read.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        rules: ConnectionRules,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rules = rules
        self._head_timer = OneShotTimer(self.loop, self._close_for_head)
        self._unread_timer = OneShotTimer(self.loop, self._close_unread)
        self._reader_timer = OneShotTimer(self.loop, self._check_reader)
        self._unsent_bytes = 0
        self._was_known = False
        self.since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        super().connection_made(transport)
        if not self._make_room():
            self._refuse(503, SluiceError(ErrorCode.QUEUE_FULL, "Too many connections are open.", retry_after_s=1))
        else:
            self._time_head()

    @property
    def is_known(self) -> bool:
        """Whether a caller was ever let in on this connection."""
        scope: Mapping[str, Any] | None = self.scope  # None until the first request
        self._was_known = self._was_known or (scope is not None and KNOWN_KEY in scope)
        return self._was_known

    def _make_room(self) -> bool:
        """Close the oldest connections that are not answered now, strangers first; False if more than allowed stay.

        Who says nothing is no reason to send the next one away, who may have something to say.
        """
        others = [one for one in self.connections if isinstance(one, _Connection) and one is not self]
        others = sorted((one for one in others if not one.transport.is_closing()), key=attrgetter("since"))
        silent = [one for one in others if not one.is_answering]
        strangers_over = sum(not one.is_known for one in others) + 1 - self._rules.strangers_max
        over = max(strangers_over, len(others) + 1 - self._rules.connections_max)
        silent_strangers = [one for one in silent if not one.is_known]
        closed = [*silent_strangers, *(one for one in silent if one.is_known)][: max(over, 0)]
        if len(closed) < over or len(silent_strangers) < strangers_over:
            return False
        for one in closed:
            one.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.stop()
        self._unread_timer.stop()
        self._reader_timer.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            # Refused before the body was read. Closing at once could cost the caller the answer (the kernel
            # drops it together with what was not read), so what still comes is thrown away for a moment.
            self._unread_timer.start(KNOWN_LINGER_S if self.is_known else LINGER_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent_bytes = self._count_unsent()
        self._reader_timer.start(self._rules.idle_s)

    def resume_writing(self) -> None:
        self._reader_timer.stop()
        super().resume_writing()

    def _check_reader(self) -> None:
        """Drop a caller that takes nothing of its answer; one that is only slow may go on."""
        unsent_bytes = self._count_unsent()
        if unsent_bytes >= self._unsent_bytes:
            self.transport.abort()
            return
        self._unsent_bytes = unsent_bytes
        self._reader_timer.start(self._rules.idle_s)

    def _count_unsent(self) -> int:
        """Bytes that the caller has not taken: ours, and those of the kernel, which may hold megabytes."""
        queued = array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
        return self.transport.get_write_buffer_size() + queued[0]

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as every other error."""
        self._refuse(400, invalid_request(msg))

    def _time_head(self) -> None:
        """Give the head of the next request its time, counted once, however it drips."""
        if self.is_answering:
            self._head_timer.stop()
        elif not self.transport.is_closing() and self.conn.their_state is not h11.SEND_BODY:
            # (The rest of a body that was refused is no head; it has a time of its own.)
            self._head_timer.start(self._rules.idle_s if self.is_known else self._rules.stranger_s)

    @property
    def is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        return cycle is not None and not cycle.response_complete

    def _close_for_head(self) -> None:
        if self.is_answering:
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, SluiceError(ErrorCode.SENDER_TOO_SLOW, "The head of the request did not arrive in time."))
        else:
            self.transport.close()

    def _close_unread(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def _refuse(self, status: int, error: SluiceError) -> None:
        """Answer without a request, and close."""
        body = msgspec.json.encode({**problem(error, request_id=self._rules.new_request_id()), "status": status})
        headers = [("Content-Type", PROBLEM_TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
        seconds = retry_after_s(error)
        if seconds is not None:
            headers.append(("Retry-After", str(seconds)))
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
