"""Lets callers in before a message of theirs is read; answers with responses, or with the status of an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import methodcaller
from typing import Any, TypeAlias

import grpc

from sluice.api.auth import Principal, Shares
from sluice.api.error_status import forget_frames
from sluice.api.grpc.call import COMPONENT, Answers, GrpcCall
from sluice.api.grpc.call_threads import is_refusing
from sluice.api.grpc.connections import CallerConnections
from sluice.api.grpc.errors import REQUEST_ID_KEY, abort, log_error
from sluice.api.grpc.health import CHECK, Health
from sluice.api.grpc.message_room import MessageRoom
from sluice.api.grpc.messages import Requests, Turn
from sluice.api.grpc.receive_deadline import ReceiveDeadline
from sluice.api.grpc.service import METHODS, SERVICE_NAME, Method
from sluice.api.service import Service
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.log_context import bound_context, choose_request_id, read_trace_parent

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Behaviour: TypeAlias = Callable[[Iterator[bytes], grpc.ServicerContext], Answers]
Observe: TypeAlias = Callable[[str, str, str, float], None]
"""Called when a call has ended: ``gRPC``, the method, the status by name, seconds."""
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic only for type checkers

_PREFIX = f"/{SERVICE_NAME}/"
REQUEST_S = 30
"""So long the message of a call that sends no rows is waited for: some bytes as a rule, which come with the headers."""


class Dispatcher(grpc.GenericRpcHandler):
    """Finds what serves a call: for a caller who may not make it, a refusal."""

    def __init__(
        self,
        service: Service,
        *,
        health: Health,
        deadline: ReceiveDeadline,
        connections: CallerConnections,
        metadata_bytes_max: int,
        shares: Shares,
        messages: Shares,
        requests: Shares,
        file_waits: Shares,
        message_bytes_max: int,
        observe: Observe,
    ) -> None:
        """``shares`` counts calls, ``file_waits`` those of them that wait for the file of a dataset.

        ``messages`` counts the bytes of the messages of those that send rows, one of which has ``message_bytes_max``;
        ``requests`` the messages of all others that are on their way.
        """
        self._service = service
        self._observe = observe
        self._metadata_bytes_max = metadata_bytes_max
        self._health = health
        self._deadline = deadline
        self._connections = connections
        self._shares = shares
        self._messages = messages
        self._requests = requests
        self._file_waits = file_waits
        self._message_bytes_max = message_bytes_max

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Called with the headers, when no byte of a message was read. None for no method of ours."""
        path = handler_call_details.method
        if path == CHECK:
            return self._health.handler()
        name = path.removeprefix(_PREFIX)
        if not path.startswith(_PREFIX) or name not in METHODS:
            return None
        behaviour = self._let_in(METHODS[name], handler_call_details.invocation_metadata)

        def observe_call(raw: Iterator[bytes], context: grpc.ServicerContext) -> Answers:
            return self._observed(name, behaviour(raw, context), context)

        return grpc.stream_stream_rpc_method_handler(
            observe_call, response_serializer=methodcaller("SerializeToString")
        )

    def _let_in(self, method: Method, metadata: Metadata) -> Behaviour:
        headers = _headers(metadata)
        request_id = choose_request_id(headers.get(REQUEST_ID_KEY), self._service.ports.randomness)
        journal = self._service.ports.journal
        try:
            with bound_context(request_id=request_id, component=COMPONENT):
                self._check_size(metadata)
                principal = self._service.access.admit(headers.get("authorization"), method.scope)
        except Exception as error:  # noqa: BLE001  # log_error() records it; gRPC would show it to the caller
            return _refusal(log_error(error, journal).error, request_id)

        def behaviour(raw: Iterator[bytes], context: grpc.ServicerContext) -> Answers:
            leave = self._connections.let_in(context.peer(), principal.tenant)
            try:
                give_back = self._take_share(principal)
            except SluiceError as error:
                leave()
                with bound_context(request_id=request_id, component=COMPONENT):
                    log_error(error, journal)
                abort(context, error, request_id)
            decoding = Turn(self._service.decoding, principal, is_active=context.is_active)
            wait = self._deadline.wait(context.cancel, timeout_s=math.inf if method.sends_rows else REQUEST_S)
            check = partial(self._service.access.ring.authenticate, headers.get("authorization"))
            taking = self._deadline.wait(context.cancel, check=check)
            room = self._room_of(method, principal, context, wait_s=wait.timeout_s)
            try:
                call = GrpcCall(
                    service=self._service,
                    principal=principal,
                    authorization=headers.get("authorization"),
                    context=context,
                    decoding=decoding,
                    taking=taking,
                    file_waits=self._file_waits,
                    request_id=request_id,
                    trace_parent=read_trace_parent(headers.get("traceparent")),
                )
                requests = Requests(
                    raw,
                    method.parse,
                    wait=wait,
                    room=room,
                    decoding=decoding,
                    has_rows=method.has_rows,
                    check_key=call.check_key,
                )
                yield from _answered(call, method.answer(call, requests))
            finally:
                decoding.give_back()
                room.give_back()
                give_back()
                leave()

        return behaviour

    def _check_size(self, metadata: Metadata) -> None:
        """Refuse long headers again: gRPC's core takes 16 MiB from a client that never acknowledges its settings."""
        if sum(len(name) + len(value) for name, value in metadata) > self._metadata_bytes_max:
            raise SluiceError(
                ErrorCode.INVALID_REQUEST, "The headers are too long.", metadata_bytes_max=self._metadata_bytes_max
            )

    def _take_share(self, principal: Principal) -> Callable[[], None]:
        """Count the call. Raises QUEUE_FULL when its tenant, or all together, have as many as they may."""
        if is_refusing():
            raise SluiceError(ErrorCode.QUEUE_FULL, "There is no thread left for the call.", retry_after_s=1)
        return self._shares.take(principal)

    def _room_of(
        self, method: Method, principal: Principal, context: grpc.ServicerContext, *, wait_s: float
    ) -> MessageRoom:
        """Room for its message; that of calls without rows is apart: no number of streams keeps them out."""
        return MessageRoom(
            self._messages if method.sends_rows else self._requests,
            principal,
            needed=self._message_bytes_max if method.sends_rows else 1,
            keeps=method.sends_rows,
            clock=self._service.ports.clock,
            wait_s=wait_s,
            is_active=context.is_active,
        )

    def _observed(self, method: str, responses: Answers, context: grpc.ServicerContext) -> Answers:
        """Pass the responses on, and call ``observe`` when the call has ended."""
        clock = self._service.ports.clock
        started = clock.monotonic()
        status = grpc.StatusCode.CANCELLED  # of a call whose client is gone
        try:
            yield from responses
            status = grpc.StatusCode.OK
        except Exception:
            status = context.code() or status  # type: ignore[attr-defined]  # public, and missing in the stubs
            raise
        finally:
            self._observe("gRPC", method, status.name, clock.monotonic() - started)


def _refusal(error: SluiceError, request_id: str) -> Behaviour:
    """Says no, without reading what the caller sends."""

    def refuse(_: Iterator[bytes], context: grpc.ServicerContext) -> Answers:
        yield abort(context, error, request_id)  # a generator, so that it is observed like any other call

    return refuse


def _headers(metadata: Metadata) -> dict[str, str]:
    """Text metadata by name; values of a name that was sent twice are joined, so that no header can hide another."""
    headers: dict[str, str] = {}
    for name, value in metadata:
        if isinstance(value, str):
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _answered(call: GrpcCall, responses: Answers) -> Answers:
    """Yield the responses, each made within the call's log context; end with a status if making one failed."""
    call.context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
    while True:
        with call.log_context():
            try:
                response = next(responses, None)
            except grpc.RpcError as error:
                forget_frames(error)  # a message that waited for its turn goes before its room is another's
                raise  # the caller is gone: it gets no answer, and gRPC wants its own error back
            except Exception as error:  # noqa: BLE001  # log_error() records unforeseen errors too
                known = log_error(error, call.service.ports.journal).error
                forget_frames(error)
                abort(call.context, known, call.request_id)
        if response is None:
            return
        with call.taking:
            yield response  # gRPC has it, and asks for the next one when the caller has taken it
