"""How much memory the messages of all calls may take, before they come: the largest for each call that waits for one.

A call that waits and gets no byte keeps a small part of that once others want it.
"""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from sluice.api.auth import Principal, Shares
from sluice.api.grpc.connections import CallerConnections, Visit
from sluice.api.service import ROOM_POLL_S
from sluice.domain.errors import SluiceError
from sluice.domain.limits import KIB
from sluice.ports.clock import Clock

IDLE_S = 0.1
"""After so long without a byte a call is not about to get its message."""
IDLE_BYTES = 256 * KIB
"""What it keeps then, and what may come before it counts in full again."""


class HasCaller(Protocol):
    """What gRPC's context of a call says of who called."""

    def is_active(self) -> bool:
        """Whether the caller is there."""

    def cancel(self) -> object:
        """Break the call off. May be called twice."""


class MessageRooms:
    """The rooms of all calls of one server. Safe to use from any thread."""

    def __init__(self, shares: Shares, connections: CallerConnections, *, message_bytes_max: int, clock: Clock) -> None:
        """``shares`` counts the bytes; one message has at most ``message_bytes_max``."""
        self.shares = shares
        self.message_bytes_max = message_bytes_max
        self.idle_bytes = min(IDLE_BYTES, message_bytes_max)
        self.clock = clock
        self._connections = connections
        self._lock = Lock()
        self._waiting: set[MessageRoom] = set()
        self._short_of_room = 0
        """Calls that found none."""

    def room(self, visit: Visit, principal: Principal, *, wait_s: float, call: HasCaller) -> MessageRoom:
        """The room of one call, which waits for at most ``wait_s``."""
        return MessageRoom(self, visit, principal, wait_s=wait_s, call=call)

    def begin_wait(self, room: MessageRoom) -> None:
        with self._lock:
            self._waiting.add(room)

    def end_wait(self, room: MessageRoom) -> None:
        with self._lock:
            self._waiting.discard(room)

    def want(self, calls: int) -> None:
        """So many more calls, or fewer, find no room."""
        with self._lock:
            self._short_of_room += calls

    def look(self) -> None:
        """Free what idle calls have where others want it, and count those in full again whose message begins to come.

        Bytes are counted by connection: the calls of one that gets any keep their room.
        """
        now = self.clock.monotonic()
        with self._lock:
            is_wanted = self._short_of_room > 0
            rooms = [room for room in self._waiting if room.is_idle or (is_wanted and room.has_waited(IDLE_S, now))]
        if not rooms:
            return
        coming = self._connections.bytes_coming({room.peer for room in rooms})
        for room in rooms:
            if (size := coming.get(room.peer)) is not None:
                room.settle(is_idle=size <= self.idle_bytes)


class MessageRoom:
    """One call's part.

    The size of a message is not known before it is there, and gRPC's core
    takes it from the network once it is asked for: so there must be room for
    the largest before that.
    """

    def __init__(
        self, rooms: MessageRooms, visit: Visit, principal: Principal, *, wait_s: float, call: HasCaller
    ) -> None:
        self._rooms = rooms
        self._visit = visit
        self._principal = principal
        self._wait_s = wait_s
        self._call = call
        self._lock = Lock()
        self._size = 0
        self.is_idle = False
        """Whether it waits, and has only ``IDLE_BYTES``."""
        self.waits_since: float | None = None

    @property
    def peer(self) -> bytes:
        return self._visit.peer

    def has_waited(self, seconds: float, now: float) -> bool:
        return self.waits_since is not None and self.waits_since + seconds <= now

    def take(self) -> None:
        """Wait for room for a message. Raises QUEUE_FULL when there is none in time, or the caller has gone."""
        if self._size < self._rooms.message_bytes_max:
            self.give_back()
            self._wait_for_room()
        self.waits_since = self._rooms.clock.monotonic()
        self._rooms.begin_wait(self)

    def _wait_for_room(self) -> None:
        rooms = self._rooms
        give_up_at = rooms.clock.monotonic() + self._wait_s
        if self._find_room() is None:
            return
        rooms.want(1)
        try:
            while refused := self._find_room():
                if not self._call.is_active() or rooms.clock.monotonic() >= give_up_at:
                    raise refused
                rooms.clock.sleep(ROOM_POLL_S)
        finally:
            rooms.want(-1)

    def _find_room(self) -> SluiceError | None:
        try:
            self._rooms.shares.add(self._principal, self._rooms.message_bytes_max)
        except SluiceError as refused:
            return refused
        self._size = self._rooms.message_bytes_max
        return None

    def settle(self, *, is_idle: bool) -> None:
        """Keep what a call needs that gets no byte, or that gets some: then one too many for all is broken off."""
        with self._lock:
            if self.waits_since is None or is_idle == self.is_idle:
                return
            self.is_idle = is_idle
            self._resize(self._rooms.idle_bytes if is_idle else self._rooms.message_bytes_max)
        if not is_idle:
            try:
                self._check()
            except SluiceError:
                self._call.cancel()

    def arrived(self, size: int) -> None:
        """A message of ``size`` is there. Raises QUEUE_FULL where it came late, and there is no room for it now."""
        self._visit.arrived(size)
        self._rooms.end_wait(self)
        with self._lock:
            was_idle, self.is_idle, self.waits_since = self.is_idle, False, None
            if was_idle:
                self._resize(size)
        if was_idle:
            self._check()

    def shrink(self, size: int) -> None:
        """Keep room for what has come, when no more will be asked for."""
        with self._lock:
            self._resize(size)

    def give_back(self) -> None:
        """End the wait, if there is one, and keep nothing. Repeatable."""
        self._rooms.end_wait(self)
        with self._lock:
            self.is_idle, self.waits_since = False, None
            self._resize(0)

    def _check(self) -> None:
        """Raise QUEUE_FULL where more is counted than may be."""
        self._rooms.shares.add(self._principal, 0)

    def _resize(self, size: int) -> None:
        self._rooms.shares.remove(self._principal, self._size - size)
        self._size = size
