"""Calls that wait and get no byte give room back where others want it; what comes after all counts in full again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sluice.api.auth import Principal, Shares
from sluice.api.grpc import connections as watched
from sluice.api.grpc.connections import CallerConnections
from sluice.api.grpc.message_room import IDLE_BYTES, IDLE_S, MessageRoom, MessageRooms
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from sluice.domain.limits import MIB
from tests.support.fake_clock import FakeClock

TOTAL = 4 * MIB
TIMEOUT_S = 60


class Caller:
    """What gRPC says of who called."""

    def __init__(self) -> None:
        self.cancelled = False

    def is_active(self) -> bool:
        return True

    def cancel(self) -> None:
        self.cancelled = True


class Desk:
    """Rooms for two largest messages over real connections."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = FakeClock()
        self.shares = Shares(TOTAL, share=1, what="bytes of messages")
        self.connections = CallerConnections(strangers_max=100, callers_max=100)
        self.rooms = MessageRooms(self.shares, self.connections, message_bytes_max=2 * MIB, clock=self.clock)
        self._stack = stack
        self._other_end: dict[socket.socket, socket.socket] = {}
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.connections.start(self._listener.getsockname()[1])
        stack.callback(self.connections.stop)

    def waiting(self) -> tuple[MessageRoom, Caller, socket.socket]:
        """A call that waits for its message, who made it, and the other end of its connection."""
        client = self._stack.enter_context(socket.create_connection(self._listener.getsockname(), TIMEOUT_S))
        self._other_end[client] = self._stack.enter_context(self._listener.accept()[0])
        visit = self.connections.let_in(f"ipv4:127.0.0.1:{client.getsockname()[1]}", "shop")
        caller, principal = Caller(), Principal(tenant=TenantId("shop"), key_id="k", scopes=frozenset())
        room = self.rooms.room(visit, principal, wait_s=5, call=caller)
        room.take()
        return room, caller, client

    def receive(self, client: socket.socket, size: int) -> None:
        """So much comes on a connection."""
        left = size
        while left:
            piece = bytes(min(left, 16_384))
            client.sendall(piece)
            taken = 0
            while taken < len(piece):
                taken += len(self._other_end[client].recv(16_384))
            left -= len(piece)

    def want(self) -> None:
        """Another call finds no room, and the next look is late enough."""
        self.rooms.want(1)
        self.clock.advance(IDLE_S)
        self.rooms.look()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(watched, "LOOK_S", 3_600)  # the test looks itself
    with ExitStack() as stack:
        yield Desk(stack)


def test_a_call_keeps_its_room_until_others_want_it_and_it_has_waited(desk: Desk) -> None:
    room, _, _ = desk.waiting()
    desk.clock.advance(60)
    desk.rooms.look()
    assert not room.is_idle
    late, _, _ = desk.waiting()
    desk.rooms.want(1)
    desk.rooms.look()
    assert (room.is_idle, late.is_idle) == (True, False)
    desk.clock.advance(IDLE_S)
    desk.rooms.look()
    assert late.is_idle
    third, _, _ = desk.waiting()  # there is room
    for one in (room, late, third):
        one.arrived(IDLE_BYTES)
        one.give_back()
    desk.shares.add(Principal(tenant=TenantId("shop"), key_id="k", scopes=frozenset()), TOTAL)  # all is free


def test_a_call_whose_message_is_on_its_way_keeps_its_room(desk: Desk) -> None:
    room, caller, client = desk.waiting()
    desk.receive(client, IDLE_BYTES + 16_384)
    desk.want()
    assert not room.is_idle
    room.arrived(IDLE_BYTES + 16_384)
    room.take()
    desk.want()
    assert (room.is_idle, caller.cancelled) == (True, False), "what came is a message now"


def test_an_idle_call_counts_in_full_once_its_message_comes_and_is_broken_off_where_that_is_too_much(
    desk: Desk,
) -> None:
    first, _, _ = desk.waiting()
    room, caller, client = desk.waiting()
    desk.want()
    assert (first.is_idle, room.is_idle) == (True, True)
    desk.receive(client, IDLE_BYTES + 16_384)
    desk.rooms.look()
    assert (first.is_idle, room.is_idle, caller.cancelled) == (True, False, False)
    room.give_back()
    room, caller, client = desk.waiting()
    desk.want()
    desk.waiting()  # takes what is left but for what idle calls keep
    desk.shares.add(Principal(tenant=TenantId("other"), key_id="k", scopes=frozenset()), MIB)
    desk.receive(client, IDLE_BYTES + 16_384)
    desk.rooms.look()
    assert caller.cancelled


def test_a_message_that_comes_late_to_an_idle_call_is_refused_where_there_is_no_room_for_it(desk: Desk) -> None:
    room, _, _ = desk.waiting()
    desk.want()
    others = [desk.waiting()[0]]
    desk.shares.add(Principal(tenant=TenantId("b"), key_id="k", scopes=frozenset()), MIB)
    with pytest.raises(SluiceError) as refused:
        room.arrived(2 * MIB)
    assert refused.value.code is ErrorCode.QUEUE_FULL
    room.give_back()
    others[0].arrived(2 * MIB)  # had its room all the time
