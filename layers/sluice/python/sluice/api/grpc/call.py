"""One call: who makes it, and its requests as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from sluice.api.auth import Principal
from sluice.api.grpc.receive_deadline import Wait
from sluice.api.service import ROOM_POLL_S, Service
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, TenantId, make_ref
from sluice.ports.log_context import bound_context, trace_id_of
from sluice.usecases.sending.open_export import Opened

COMPONENT = "grpc"
CHECKS = 2
"""How often the end of a stream is asked for again; see ``Requests``."""

RequestT = TypeVar("RequestT", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcCall:
    """What is known of a call before its first message."""

    service: Service
    principal: Principal
    authorization: str | None = None
    context: grpc.ServicerContext
    request_id: str
    trace_parent: str = ""

    @property
    def tenant(self) -> TenantId:
        return self.principal.tenant

    def ref(self, task_id: str) -> TaskRef:
        """Name a task of the caller. Raises TASK_NOT_FOUND for text that no task can have."""
        return make_ref(self.tenant, task_id)

    def check_key(self) -> None:
        """Raise UNAUTHENTICATED once the caller's key is revoked or past its time: a long call asks now and then."""
        self.service.access.ring.authenticate(self.authorization)

    def log_context(self) -> AbstractContextManager[None]:
        return bound_context(request_id=self.request_id, trace_id=trace_id_of(self.trace_parent), component=COMPONENT)

    def run_with_room(self, work: Callable[..., Opened], *arguments: Any) -> Opened:
        """Do what opens an export; while the queue is full it waits for room, if not too many wait already."""
        clock = self.service.ports.clock
        give_up_at = clock.monotonic() + self.service.admit_timeout_s
        while True:
            try:
                return work(*arguments)
            except SluiceError as error:
                if error.code is not ErrorCode.QUEUE_FULL or not self._wait_for_room(give_up_at):
                    raise

    def _wait_for_room(self, give_up_at: float) -> bool:
        clock, admission = self.service.ports.clock, self.service.ports.admission
        if not self.service.waiting.acquire(blocking=False):
            return False
        try:
            while not admission.has_room() and clock.monotonic() < give_up_at and self.context.is_active():
                clock.sleep(ROOM_POLL_S)
        finally:
            self.service.waiting.release()
        return clock.monotonic() < give_up_at


Answers = Iterator[Message]


class Requests(Generic[RequestT]):
    """The messages of a call, parsed one at a time. Ends only when the client has said that it is done.

    gRPC's core hands the end of a stream and the news that the stream broke to
    the server as two events, and in Python the first can be seen alone: a
    client that died, or whose message was too large, then looks like one that
    half-closed. Asking for another message makes a round through the core's
    queue of events, behind the news, after which a broken stream raises
    ``grpc.RpcError``. (Seen with grpcio 1.85 in up to one of five broken
    streams, and always found out by the first question.)
    """

    def __init__(
        self,
        raw: Iterator[bytes],
        parse: Callable[[bytes], RequestT],
        *,
        wait: Wait,
        decoding: AbstractContextManager[object],
    ) -> None:
        self._raw = raw
        self._parse = parse
        self._wait = wait
        self._decoding = decoding

    @property
    def overdue(self) -> bool:
        """Whether the stream was broken off because no message came in time."""
        return self._wait.overdue

    def __iter__(self) -> Iterator[RequestT]:
        return self

    def __next__(self) -> RequestT:
        """Raises ``grpc.RpcError`` for a broken stream, INVALID_REQUEST for bytes that are no message."""
        with self._wait:
            data = next(self._raw, None)
            if data is None:
                if any(next(self._raw, None) is not None for _ in range(CHECKS)):
                    raise AssertionError("a message came after the end of its stream")
                raise StopIteration
        try:
            with self._decoding:
                return self._parse(data)
        except DecodeError:
            raise SluiceError(
                ErrorCode.INVALID_REQUEST, "The message is not one of the contract, or has text that is not UTF-8."
            ) from None
