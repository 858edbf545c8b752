"""The messages of a call as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from sluice.api.auth import DecodingPlace, DecodingTurns, Principal
from sluice.api.grpc.message_room import MessageRoom
from sluice.api.grpc.receive_deadline import Wait
from sluice.api.service import ROOM_POLL_S, SMALL_BYTES
from sluice.domain.errors import ErrorCode, SluiceError

CHECKS = 2
"""How often the end of a stream is asked for again; see ``Requests``."""

RequestT = TypeVar("RequestT", bound=Message)


class Turn:
    """One call's turn among those that decode. Not thread-safe: a call has one thread."""

    def __init__(self, turns: DecodingTurns, principal: Principal, *, is_active: Callable[[], bool]) -> None:
        self._turns = turns
        self._principal = principal
        self._is_active = is_active
        self._place: DecodingPlace | None = None

    def take(self) -> bool:
        """Wait for the turn, unless it is taken. False: the caller has gone, or its time is over."""
        if self._place is None:
            self._place = self._turns.ask(self._principal)
        while not self._place.wait(ROOM_POLL_S):
            if not self._is_active():
                self.give_back()
                return False
        return True

    def give_back(self) -> None:
        """Repeatable."""
        if self._place is not None:
            self._place.leave()
            self._place = None


class Requests(Generic[RequestT]):
    """The messages of a call, parsed one at a time. Ends only when the client has said that it is done.

    gRPC's core hands the end of a stream and the news that the stream broke to
    the server as two events, and in Python the first can be seen alone: a
    client that died, or whose message was too large, then looks like one that
    half-closed. Asking for another message makes a round through the core's
    queue of events, behind the news, after which a broken stream raises
    ``grpc.RpcError``. (Seen with grpcio 1.85 in up to one of five broken
    streams, and always found out by the first question.)

    A message that has rows comes with the turn for decoding taken: parsed
    messages that wait for one would be many times what was sent, but for small ones.
    """

    def __init__(
        self,
        raw: Iterator[bytes],
        parse: Callable[[bytes], RequestT],
        *,
        wait: Wait,
        room: MessageRoom,
        decoding: Turn,
        has_rows: Callable[[RequestT], bool],
        check_key: Callable[[], None],
    ) -> None:
        """``check_key`` raises once the caller may call no more; it is asked after each message."""
        self._raw = raw
        self._parse = parse
        self._wait = wait
        self._room = room
        self._decoding = decoding
        self._has_rows = has_rows
        self._check_key = check_key

    @property
    def overdue(self) -> bool:
        """Whether the stream was broken off because no message came in time."""
        return self._wait.overdue

    def __iter__(self) -> Iterator[RequestT]:
        return self

    def __next__(self) -> RequestT:
        """Read the next message.

        Raises ``grpc.RpcError`` for a broken stream, INVALID_REQUEST for bytes that are no message, QUEUE_FULL, and
        UNAUTHENTICATED for a key that is revoked by now.
        """
        return self._parsed(self._received())

    def only(self) -> RequestT:
        """The message of a call that has one; raises as ``__next__``, and INVALID_REQUEST where there is none."""
        try:
            data = self._received()
        except StopIteration:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The call has no request.") from None
        self._room.shrink(len(data))
        return self._parsed(data)

    def _received(self) -> bytes:
        self._room.take()
        with self._wait:
            data = next(self._raw, None)
            if data is None:
                self._room.give_back()
                if any(next(self._raw, None) is not None for _ in range(CHECKS)):
                    raise AssertionError("a message came after the end of its stream")
                raise StopIteration
        self._check_key()
        return data

    def _parsed(self, data: bytes) -> RequestT:
        if len(data) > SMALL_BYTES:
            self._take_turn()
        keeps_turn = False
        try:
            message = self._parse(data)
            keeps_turn = self._has_rows(message)
        except DecodeError:
            raise SluiceError(
                ErrorCode.INVALID_REQUEST, "The message is not one of the contract, or has text that is not UTF-8."
            ) from None
        finally:
            if not keeps_turn:
                self._decoding.give_back()
        if keeps_turn:
            self._take_turn()
        return message

    def _take_turn(self) -> None:
        """Raise what a broken stream does, if the caller is gone before its turn has come."""
        if not self._decoding.take():
            next(self._raw, None)
            raise SluiceError(ErrorCode.QUEUE_FULL, "The call ended before its turn.", retry_after_s=1)
