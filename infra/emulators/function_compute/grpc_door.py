"""The gateway for gRPC: passes every call on to one function, with the platform's headers, and its answers back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from infra.emulators.function_compute.custom_function import CustomFunction, FunctionNotStartedError
from infra.emulators.function_compute.environment import RoleKey

MESSAGE_BYTES_MAX = 32 * 2**20
SIZES = (("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.max_send_message_length", MESSAGE_BYTES_MAX))
PLATFORMS = ("x-fc-", "grpc-", "user-agent")
GRACE_S = 2


class GrpcDoor(grpc.GenericRpcHandler):
    """Knows no service: to it every call is a stream of bytes each way, which all four kinds of calls are."""

    def __init__(self, function: CustomFunction, key_of: Callable[[str], RoleKey]) -> None:
        self._function = function
        self._key_of = key_of
        self._channel: grpc.Channel | None = None
        self._address = ("", 0)
        self._server = grpc.server(ThreadPoolExecutor(function.spec.concurrency, "grpc-door"), options=SIZES)
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        """Take no more calls, and end those that last."""
        self._server.stop(GRACE_S).wait()
        if self._channel is not None:
            self._channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Answer any method."""
        method = handler_call_details.method

        def pass_on(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from self._pass_on(method, messages, context)

        return grpc.stream_stream_rpc_method_handler(pass_on)

    def _pass_on(self, method: str, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        key = self._key_of(self._function.spec.name)
        try:
            channel = self._open(key)
        except FunctionNotStartedError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        start: Any = channel.stream_stream(method)  # without a serializer, bytes pass as they are
        call = start(messages, timeout=self._time_left(context), metadata=self._metadata(context, key))
        context.add_callback(call.cancel)
        try:
            context.send_initial_metadata(call.initial_metadata())
            yield from call
            context.set_trailing_metadata(call.trailing_metadata())
        except grpc.RpcError:
            context.set_trailing_metadata(call.trailing_metadata())
            context.abort(call.code(), call.details())

    def _open(self, key: RoleKey) -> grpc.Channel:
        address = self._function.address(key)
        if self._channel is None or address != self._address:
            self._address = address
            self._channel = grpc.insecure_channel(f"{address[0]}:{address[1]}", options=SIZES)
        return self._channel

    def _time_left(self, context: grpc.ServicerContext) -> float:
        left = context.time_remaining()
        return min(self._function.spec.timeout_s, left) if left else self._function.spec.timeout_s

    def _metadata(self, context: grpc.ServicerContext, key: RoleKey) -> list[tuple[str, Any]]:
        """The caller's, without what only the platform may say, and the platform's."""
        sent = [(name, value) for name, value in context.invocation_metadata() if not name.startswith(PLATFORMS)]
        return [*sent, *self._function.headers(key, str(uuid.uuid4())).items()]
