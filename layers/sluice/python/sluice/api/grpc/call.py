"""One call: who makes it, and what it may wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from threading import Timer
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from sluice.api.auth import Principal, Shares
from sluice.api.grpc.connections import address_of
from sluice.api.grpc.message_room import wait_for_share
from sluice.api.grpc.messages import Turn
from sluice.api.grpc.receive_deadline import Wait
from sluice.api.service import ROOM_POLL_S, Service
from sluice.api.source_calls import SOURCE_S, OpenedSources
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef, TenantId, make_ref
from sluice.ports.bundle import Ports
from sluice.ports.log_context import bound_context, trace_id_of
from sluice.usecases.sending.open_export import Opened

COMPONENT = "grpc"
LIST_WAIT_S = 30
"""How long a list waits for its turn."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcCall:
    """What is known of a call before its first message."""

    service: Service
    principal: Principal
    authorization: str | None = None
    context: grpc.ServicerContext
    decoding: Turn
    """Taken from the parsing of a message with rows until ``put_wire_batch`` has made their chunk."""
    taking: Wait
    """While an answer is with gRPC, for the caller to take it."""
    file_waits: Shares
    """Calls that wait for the file of a dataset, whose answer is as good without it."""
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
        return bound_context(
            request_id=self.request_id,
            trace_id=trace_id_of(self.trace_parent),
            component=COMPONENT,
            client=address_of(self.context.peer()),
            key_id=self.principal.shown_key,
        )

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

    def run_listing(self, work: Callable[[], Result]) -> Result:
        """Do what reads much: a tenant has few at a time, and more wait for a turn.

        Raises QUEUE_FULL when there is none in time, or the caller has gone.
        """
        return self._run_in_turn(self.service.lists, work)

    def run_on_source(self, work: Callable[[Ports], Result]) -> Result:
        """As ``run_listing``, for what waits for a database. Raises QUEUE_FULL at once where too many wait already.

        Its sources are interrupted once the call is broken off or ``SOURCE_S`` are over: to the work that is a source
        that is away.
        """
        opened = OpenedSources(self.service.ports.open_source)
        late = Timer(SOURCE_S, opened.interrupt)
        late.daemon = True

        def timed() -> Result:
            late.start()
            if not self.context.add_callback(opened.interrupt_aside):  # the call is over already
                opened.interrupt()
            return work(replace(self.service.ports, open_source=opened.open))

        leave = self.service.source_queue.take(self.principal)
        try:
            return self._run_in_turn(self.service.sources, timed)
        finally:
            late.cancel()
            opened.close()
            leave()

    def _run_in_turn(self, turns: Shares, work: Callable[[], Result]) -> Result:
        give_back = wait_for_share(
            lambda: turns.take(self.principal),
            clock=self.service.ports.clock,
            wait_s=LIST_WAIT_S,
            is_active=self.context.is_active,
        )
        try:
            return work()
        finally:
            give_back()

    def _wait_for_room(self, give_up_at: float) -> bool:
        clock, admission = self.service.ports.clock, self.service.ports.admission
        if not self.service.waiting.acquire(blocking=False):
            return False
        try:
            while not admission.has_room(self.tenant) and clock.monotonic() < give_up_at and self.context.is_active():
                clock.sleep(ROOM_POLL_S)
        finally:
            self.service.waiting.release()
        return clock.monotonic() < give_up_at


Answers = Iterator[Message]
