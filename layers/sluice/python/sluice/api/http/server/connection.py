"""One HTTP connection: how its requests are read, how long they and their answers may take, who makes room for whom."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

import h11
import msgspec
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from sluice.api.error_status import problem, retry_after_s
from sluice.api.http.errors import HEAD_BYTES_MAX, KNOWN_KEY, PROBLEM_TYPE, head_too_large, invalid_request
from sluice.api.http.server.connection_rules import BodyTurns, ConnectionRules
from sluice.api.http.server.reader_pace import READER_LAG_CHECKS, ReaderPace, count_unsent
from sluice.api.http.server.transports import StillOpen, Tls
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB

LINGER_S = 2.0
"""How long a caller that is still sending may read the refusal before its connection is closed."""
KNOWN_LINGER_S = 60.0
"""The same for a caller that was let in: it may send its body to the end before it reads the answer."""
READ_BYTES = 8 * KIB
"""Read from a connection in one turn of the event loop, and kept, until a caller is let in."""
KNOWN_READ_BYTES = 128 * KIB
"""The same of a caller that was let in: few turns for a large body."""
EVENTS_IN_TURN = 64
"""Chunks of a body that are parsed for one connection in a turn of the event loop: about a millisecond of it."""
LAST_CHUNK = b"0\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)
"""For ``SO_LINGER``: a closed socket throws away what it still has."""
_CLOSE = (b"connection", b"close")


def connection_factory(rules: ConnectionRules) -> type[asyncio.Protocol]:
    """Build what the server makes connections with; it calls it like the class and passes nothing of ours."""
    return cast(type[asyncio.Protocol], partial(_Connection, rules=rules, turns=BodyTurns()))


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


def _body_bytes(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """The length of a request's body as its checked head declares it; infinite for one in chunks."""
    fields = dict(headers)
    return math.inf if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))


class _GatedH11(h11.Connection):
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
            self.is_body_wanted = not _body_bytes(event.headers)  # an empty one has only its end
        self.events_left -= 1
        return event


class _BodyFlow(FlowControl):
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


class _Connection(H11Protocol):
    """uvicorn's connection, whose class is private: `tests/unit/api/test_http_pins.py` fails on an upgrade.

    Closes connections that drip a request's head, are too many, go on sending after a refusal, or do not read.
    The answer to a stranger is the last of its connection, so what a stranger pipelines is never looked at.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        rules: ConnectionRules,
        turns: BodyTurns,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: _GatedH11 = _GatedH11(HEAD_BYTES_MAX)
        self.flow: _BodyFlow
        self._rules = rules
        self._turns = turns
        self._unread_bytes = math.inf
        self._head_timer = OneShotTimer(self.loop, self._close_for_head)
        self._unread_timer = OneShotTimer(self.loop, self._close_unread)
        self._reader_timer = OneShotTimer(self.loop, self._check_reader)
        self._answer_timer = OneShotTimer(self.loop, self._close_slow_stranger)
        self._pace = ReaderPace(lag_s_max=READER_LAG_CHECKS * rules.idle_s)
        self._socket_transport: asyncio.Transport
        self._was_known = False
        self._was_ever_known = False
        self._inner, self.app = self.app, self._serve
        self.since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent does
        """Called by the listener, and with TLS again after the handshake."""
        vars(transport)["max_size"] = READ_BYTES  # of asyncio's transports on selectors
        if self._rules.tls is not None and transport.get_extra_info("sslcontext") is None:
            self._shake_hands(transport)
            return
        super().connection_made(transport)
        self.flow = _BodyFlow(transport)
        # Any byte that waits for the caller is waited for under the eyes of ``_check_reader``, also of a connection
        # that is closing. (0 would have asyncio's TLS pause when nothing waits.)
        transport.set_write_buffer_limits(high=1, low=0)
        if self._rules.tls is None:
            self._socket_transport = transport
            if not self._make_room():
                self._refuse(503, SluiceError(ErrorCode.QUEUE_FULL, "Too many connections are open.", retry_after_s=1))
                return
        self._time_head()

    def _shake_hands(self, transport: asyncio.Transport) -> None:
        """Begin TLS. From now on this is a stranger's connection like any other that says nothing yet."""
        self.transport = self._socket_transport = transport
        self.connections.add(self)
        if not self._make_room():
            self.drop()  # before the handshake there is no saying why
            self.connections.discard(self)
            return
        transport.set_write_buffer_limits(high=1, low=0)
        protocol = Tls(self, self._rules)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Whether its caller is known counts from its answer on, whatever was asked before."""
        self.since = self.loop.time()
        self._unread_timer.stop()
        self._answer_timer.stop()
        self._answer_timer.start(self._rules.stranger_answer_s)

        async def want_and_receive() -> Message:
            if scope is self.scope and self.conn.is_gated:
                self._take_body()
            return await receive()

        async def send_and_judge(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._was_known = KNOWN_KEY in scope
                self._was_ever_known = self._was_ever_known or self._was_known
                headers = list(message.get("headers", []))
                if not self._was_known:
                    message = {**message, "headers": headers if _CLOSE in headers else [*headers, _CLOSE]}
                if self.conn.their_state is h11.SEND_BODY:
                    self.cycle.transport = cast(asyncio.Transport, StillOpen(self.transport, self.cycle))
            await send(message)

        await self._inner(scope, want_and_receive, send_and_judge)

    def _take_body(self) -> None:
        self.conn.is_body_wanted = True
        vars(self.transport)["max_size"] = KNOWN_READ_BYTES if self.is_known else READ_BYTES
        self.handle_events()

    def handle_events(self) -> None:
        """As uvicorn's, with no more of a body than is wanted and has its turn; until then nothing more is read."""
        self.conn.events_left = EVENTS_IN_TURN
        super().handle_events()
        self.flow.set_behind(is_behind=self.conn.is_gated or self.conn.is_out_of_turn)
        if self.conn.is_out_of_turn:
            self._turns.wait(self.loop, self._go_on)
        self._time_head()

    def _go_on(self) -> None:
        if not self.transport.is_closing() and not self._has_last_answer:
            self.handle_events()

    @property
    def is_known(self) -> bool:
        """Whether the caller of the request under way, or of the last one that was answered, was let in."""
        scope: Mapping[str, Any] | None = self.scope  # None until the first request
        return self._was_known or (scope is not None and KNOWN_KEY in scope)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left but its end."""
        return self._socket_transport.is_closing() and not self.is_waiting_for_reader

    @property
    def is_waiting_for_reader(self) -> bool:
        return self._count_buffered() > 0

    def _make_room(self) -> bool:
        """Close what must go for this connection to stay: strangers first, then known callers that ask nothing.

        Of strangers those go first that do not take their answers, then those that came first: one that asks and
        reads is answered whatever the others do. False where only known callers that are answered are left.
        """
        others = [one for one in self.connections if isinstance(one, _Connection) and one is not self]
        others = [one for one in others if not one.is_over]
        strangers = [one for one in others if not one.is_known]
        over = max(len(strangers) + 1 - self._rules.strangers_max, len(others) + 1 - self._rules.connections_max, 0)
        if not over:
            return True
        silent = [one for one in others if one.is_known and not one.is_answering]
        in_order = [one for group in (strangers, silent) for one in sorted(group, key=_Connection._turn)]
        if len(in_order) < over:
            return False
        for one in in_order[:over]:
            one.drop()
        return True

    def _turn(self) -> tuple[bool, float]:
        return not self.is_waiting_for_reader, self.since

    def _close_slow_stranger(self) -> None:
        if not self.is_known:
            self.drop()

    def drop(self) -> None:
        """End it now. Of what the caller did not take, the system keeps nothing either, which might be megabytes."""
        if self._count_unsent():
            with suppress(OSError, ValueError):
                self._socket_transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket_transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.stop()
        self._unread_timer.stop()
        self._reader_timer.stop()
        self._answer_timer.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._has_last_answer:
            self._throw_away(data)
            return
        super().data_received(data)
        vars(self.transport)["max_size"] = KNOWN_READ_BYTES if self.is_known else READ_BYTES

    @property
    def _has_last_answer(self) -> bool:
        """Whether nothing that comes is looked at any more: a stranger was answered, or who wants to be closed."""
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        is_last = not self.is_known or self.conn.our_state in {h11.MUST_CLOSE, h11.CLOSED, h11.ERROR}
        return cycle is not None and cycle.response_complete and is_last

    def on_response_complete(self) -> None:
        is_unread, is_whole = self.conn.their_state is h11.SEND_BODY, self.conn.is_gated
        if self._has_last_answer and not is_unread:
            self.transport.close()
        super().on_response_complete()
        if not is_unread or self.transport.is_closing():
            return
        # Answered before the body was read. Closing at once could cost the caller the answer (the kernel
        # drops it together with what was not read), so what still comes is thrown away for a moment.
        self._unread_timer.start(KNOWN_LINGER_S if self._was_ever_known else LINGER_S)
        if self._has_last_answer:
            self._unread_bytes = _body_bytes(self.headers) if is_whole else math.inf
            self.flow.set_behind(is_behind=False)
            self._throw_away(self.conn.trailing_data[0])
        elif is_whole:
            self._take_body()

    def _throw_away(self, data: bytes) -> None:
        """Drop a piece of a body that will not be read, as it came; close where it ends, or seems to."""
        self._unread_bytes -= len(data)
        if self._unread_bytes <= 0 or (math.isinf(self._unread_bytes) and data.endswith(LAST_CHUNK)):
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._pace.begin(self._count_unsent(), self.loop.time())
        self._reader_timer.start(self._rules.idle_s)

    def resume_writing(self) -> None:
        self._reader_timer.stop()
        self._pace.look(self._count_unsent(), self.loop.time())
        super().resume_writing()

    def _check_reader(self) -> None:
        """Drop a caller that takes nothing of its answer, or too little for too long; one that is slow may go on."""
        if self._pace.look(self._count_unsent(), self.loop.time()):
            self._reader_timer.start(self._rules.idle_s)
        else:
            self.drop()

    def _count_unsent(self) -> int:
        """Bytes that the caller has not taken: ours, and those of the kernel, which may hold megabytes."""
        return self._count_buffered() + count_unsent(self._socket_transport.get_extra_info("socket"))

    def _count_buffered(self) -> int:
        return sum(one.get_write_buffer_size() for one in {self.transport, self._socket_transport})

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too long a head, as every other error."""
        if not self.is_answering and len(self.conn.trailing_data[0]) > HEAD_BYTES_MAX:
            self._refuse(431, head_too_large())
        else:
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
        if self.conn.their_state is h11.SEND_BODY and not self.is_answering:
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
