"""The gRPC API as a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc

from sluice.adapters.aliyun.credentials import LatestCredentials
from sluice.api.grpc.server import GrpcLimits, GrpcServer
from sluice.app.functions.platform_headers import split_head
from sluice.app.functions.web_function import HOST, WebFunction, run_web_function
from sluice.domain.limits import DAY_S, HOUR_S

PORT = 8089
"""The gateway sends gRPC to this one."""


class _Details(NamedTuple):
    """A call's details with other metadata."""

    method: str
    invocation_metadata: Any


class PlatformMetadata(grpc.ServerInterceptor):
    """Takes the platform's part out of each call's metadata before anything else looks at it."""

    def __init__(self, latest: LatestCredentials) -> None:
        self._latest = latest

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        metadata = handler_call_details.invocation_metadata or ()
        binary = [(name, value) for name, value in metadata if not isinstance(value, str)]
        callers, platform = split_head((name, value) for name, value in metadata if isinstance(value, str))
        credentials = platform.credentials()
        if credentials is not None:
            self._latest.set(credentials)
        return continuation(_Details(handler_call_details.method, (*callers, *binary)))


def run_grpc_function(component: str) -> None:
    """Serve until a signal says stop."""
    run_web_function(component, serve_grpc, port=PORT)


@contextmanager
def serve_grpc(function: WebFunction, port: int) -> Iterator[int]:
    """Listen; at the end let calls that run end within ``server.shutdown_grace_s``."""
    settings, defaults = function.settings, GrpcLimits()
    server = GrpcServer(
        function.service,
        host=HOST,
        port=port,
        # One gateway in front, with one connection for all callers: it decides when that ends, not we.
        limits=GrpcLimits(
            message_bytes_max=max(defaults.message_bytes_max, 2 * settings.performance.max_batch_bytes),
            calls_per_connection_max=max(defaults.calls_per_connection_max, defaults.calls_max),
            message_timeout_s=settings.server.request_timeout_s,
            idle_timeout_s=HOUR_S,
            connection_age_s=DAY_S,
            ping_interval_s=1,
        ),
        reflection=settings.server.reflection,
        interceptors=(PlatformMetadata(function.latest),),
    )
    listening = server.start()
    try:
        yield listening
    finally:
        server.drain(settings.server.shutdown_grace_s)
