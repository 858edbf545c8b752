"""The standard health service, as much of it as strangers may be given: Check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from sluice.api.grpc.call_threads import is_refusing
from sluice.api.grpc.receive_deadline import ReceiveDeadline

OVERALL = ""
"""The name that stands for the whole process."""
CHECK = "/grpc.health.v1.Health/Check"
CHECKS_MAX = 8
"""Checks that wait for their request. They need no credential, so they get few of the calls there are."""
CHECK_TIMEOUT_S = 5

_Answer = health_pb2.HealthCheckResponse


class Health:
    """What each component reported last.

    There is no Watch: a call that a stranger may hold open for ever is a way
    to use up the server. Clients take UNIMPLEMENTED for a server that is well.
    """

    def __init__(self, deadline: ReceiveDeadline) -> None:
        self._deadline = deadline
        self._serving = {OVERALL: True}
        self._waiting: dict[object, Callable[[], object]] = {}
        """What ends each check that waits for its request, the one that began first before the others."""
        self._lock = Lock()

    def report(self, component: str, *, serving: bool) -> None:
        self._serving[component] = serving

    def report_nothing_serving(self) -> None:
        for component in tuple(self._serving):
            self._serving[component] = False

    def handler(self) -> grpc.RpcMethodHandler[bytes, health_pb2.HealthCheckResponse]:
        """What serves a check."""
        return grpc.stream_stream_rpc_method_handler(self._check, response_serializer=_Answer.SerializeToString)

    def _check(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        if is_refusing():
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many health checks at once")
        with self._place(context.cancel), self._deadline.wait(context.cancel, timeout_s=CHECK_TIMEOUT_S):
            data = next(requests, b"")
        try:
            component = health_pb2.HealthCheckRequest.FromString(data).service
        except DecodeError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a HealthCheckRequest")
        serving = self._serving.get(component)
        if serving is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such component")
        yield _Answer(status=_Answer.SERVING if serving else _Answer.NOT_SERVING)

    @contextmanager
    def _place(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Wait for a request. The check that has waited longest makes room: one that asks does so at once."""
        place = object()
        with self._lock:
            longest = next(iter(self._waiting)) if len(self._waiting) == CHECKS_MAX else None
            pushed_out = self._waiting.pop(longest) if longest is not None else None
            self._waiting[place] = cancel
        if pushed_out is not None:
            pushed_out()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.pop(place, None)
