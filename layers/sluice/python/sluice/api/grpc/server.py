"""The gRPC port: its limits, its start, its orderly end."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import grpc
import msgspec

from sluice.api.auth import TENANT_SHARE, Shares
from sluice.api.grpc.call_threads import CallThreads
from sluice.api.grpc.connections import CallerConnections
from sluice.api.grpc.dispatch import Dispatcher, Observe
from sluice.api.grpc.health import CHECKS_MAX, Health
from sluice.api.grpc.receive_deadline import ReceiveDeadline
from sluice.api.grpc.service import SERVICE_NAME
from sluice.api.service import Service
from sluice.domain.limits import HOUR_S, KIB, MIB, MINUTE_S

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class GrpcLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what callers may take. A value, so that a test can shrink it."""

    message_bytes_max: int = 8 * MIB
    """One message, also after decompression. As a message, a batch has up to three times its canonical bytes."""
    messages_bytes_max: int = 384 * MIB
    """Of all calls that send rows, each that waits for a message counted with the largest. At least eight of those."""
    lookahead_bytes: int = MIB
    """What a client may send ahead of what is asked for. Over a link of 20 ms a stream has 40 to 50 MB/s with it."""
    metadata_bytes_max: int = 16 * KIB
    """The headers of one call."""
    calls_max: int = 100
    """Calls at a time, a thread each; a stream holds its thread until it has its result."""
    tenant_share: float = TENANT_SHARE
    """Of the calls and the bytes of their messages, for one tenant."""
    connections_max: int = 8_000
    """More are turned away, the newest first, for gRPC's core knows no strangers: so far more than callers need."""
    strangers_max: int = 1_000
    """Connections on which no caller was let in; the oldest end first."""
    callers_max: int = 1_000
    """The others. Of the tenant with most of them those end that were used longest ago and have no call."""
    calls_per_connection_max: int = 100
    message_timeout_s: float = MINUTE_S
    """A call's request, or a stream's next message, must be there, whole, within this time."""
    handshake_timeout_s: float = 5
    """A connection that does not begin to speak is closed."""
    idle_timeout_s: float = 15
    """A connection without a call is closed."""
    connection_age_s: float = 10 * MINUTE_S
    """After this a connection takes no new calls, so that clients spread over new servers."""
    connection_grace_s: float = HOUR_S
    """Calls still running this long after that are cut. An hour, since a long export is one call."""
    keepalive_time_s: float = MINUTE_S
    keepalive_timeout_s: float = 20
    """A peer that does not answer a ping within this time is gone."""
    ping_interval_s: float = 30
    """A client that pings more often, with nothing to send, is warned and cut."""


REQUESTS_MAX = 16
REQUESTS_OF_TENANT = 4
"""Messages of calls that send no rows that are on their way at a time, some bytes each as a rule; more wait."""
FILE_WAITS_PART = 0.2
"""Of the calls, for those that wait for the file of a dataset: each keeps its thread for minutes."""
MESSAGES_MIN = 8
"""Messages of the largest size for which there is room, however large that is."""
REFUSALS_MAX = 16
"""Threads for saying no, beside those of calls and health checks."""


class TlsFiles(NamedTuple):
    """The contents of the PEM files."""

    certificate_chain: bytes
    private_key: bytes


class GrpcServer:
    """One gRPC server. Made, started once, drained once."""

    def __init__(
        self,
        service: Service,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: GrpcLimits | None = None,
        tls: TlsFiles | None = None,
        reflection: bool = False,
        observe: Observe | None = None,
        interceptors: Sequence[grpc.ServerInterceptor] = (),
    ) -> None:
        """``interceptors`` see each call first, for platforms that add to its metadata."""
        limits = limits or GrpcLimits()
        self._host, self._port = host, port
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._tls = tls
        self._deadline = ReceiveDeadline(timeout_s=limits.message_timeout_s, clock=service.ports.clock)
        self._health = Health(self._deadline)
        self._connections = CallerConnections(strangers_max=limits.strangers_max, callers_max=limits.callers_max)
        self._pool = CallThreads(limits.calls_max + CHECKS_MAX + REFUSALS_MAX)
        self._serving: list[threading.Thread] = []
        self._server = grpc.server(
            cast("ThreadPoolExecutor", self._pool), interceptors=list(interceptors), options=server_options(limits)
        )
        dispatcher = Dispatcher(
            service,
            health=self._health,
            deadline=self._deadline,
            connections=self._connections,
            metadata_bytes_max=limits.metadata_bytes_max,
            shares=Shares(limits.calls_max, share=limits.tenant_share, what="calls"),
            messages=Shares(
                _messages_bytes(limits),
                share=limits.tenant_share,
                what="bytes of messages",
                least=limits.message_bytes_max,
            ),
            requests=Shares(REQUESTS_MAX, share=REQUESTS_OF_TENANT / REQUESTS_MAX, what="requests on their way"),
            file_waits=Shares(
                max(1, int(limits.calls_max * FILE_WAITS_PART)),
                share=limits.tenant_share,
                what="calls that wait for a file",
            ),
            message_bytes_max=limits.message_bytes_max,
            observe=observe or (lambda _kind, _method, _status, _duration_s: None),
        )
        self._server.add_generic_rpc_handlers((dispatcher,))
        self.report(SERVICE_NAME, serving=True)
        if reflection:
            from grpc_reflection.v1alpha import reflection as service_list  # noqa: PLC0415  # production never loads it

            names = (SERVICE_NAME, service_list.SERVICE_NAME)
            service_list.enable_server_reflection(names, self._server)

    def start(self) -> int:
        """Bind and serve; returns the port. Raises OSError or RuntimeError when the port is taken."""
        _try_to_bind(self._host, self._port)
        if self._tls is None:
            port = self._server.add_insecure_port(self._address)
        else:
            pair = (self._tls.private_key, self._tls.certificate_chain)
            port = self._server.add_secure_port(self._address, grpc.ssl_server_credentials([pair]))
        self._deadline.start()
        before = threading.enumerate()
        self._server.start()
        self._connections.start(port)
        self._serving = [one for one in threading.enumerate() if one not in before and one.name.endswith("(_serve)")]
        return port

    def check(self) -> None:
        """Raise RuntimeError when the thread that takes calls has ended: only another start of the process helps."""
        if not any(thread.is_alive() for thread in self._serving):
            raise RuntimeError("gRPC takes no calls")

    def report(self, component: str, *, serving: bool) -> None:
        """Say by the standard health service whether a component can do its work; "" is the whole process."""
        self._health.report(component, serving=serving)

    def drain(self, deadline_s: float) -> None:
        """End: nothing serves, new calls are refused, running ones may end for ``deadline_s``, then are cancelled.

        A stream that is cancelled before its half-close has sealed nothing; its
        sender can continue it at the next server.
        """
        self._health.report_nothing_serving()
        self._server.stop(deadline_s).wait()
        self._deadline.stop()
        self._connections.stop()
        self._pool.shutdown(wait=True)


def _messages_bytes(limits: GrpcLimits) -> int:
    """How much the messages of all calls may take: also of one tenant's at least one."""
    for_one = math.ceil(limits.message_bytes_max / limits.tenant_share)
    return max(limits.messages_bytes_max, MESSAGES_MIN * limits.message_bytes_max, for_one)


def server_options(limits: GrpcLimits) -> list[tuple[str, int]]:
    """The limits in the words of gRPC's core."""
    return [
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server that gets half of the calls
        ("grpc.max_receive_message_length", limits.message_bytes_max),
        # Otherwise the core gives each connection a window that grows to many megabytes, of which nothing here knows.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", limits.lookahead_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes_max),
        ("grpc.max_concurrent_streams", limits.calls_per_connection_max),
        ("grpc.max_allowed_incoming_connections", limits.connections_max),
        ("grpc.server_handshake_timeout_ms", _ms(limits.handshake_timeout_s)),
        ("grpc.max_connection_idle_ms", _ms(limits.idle_timeout_s)),
        ("grpc.max_connection_age_ms", _ms(limits.connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(limits.connection_grace_s)),
        ("grpc.keepalive_time_ms", _ms(limits.keepalive_time_s)),
        ("grpc.keepalive_timeout_ms", _ms(limits.keepalive_timeout_s)),
        # Seen with grpcio 1.85: a peer that never answers is cut by this time, and not by the one above.
        ("grpc.http2.ping_timeout_ms", _ms(limits.keepalive_timeout_s)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(limits.ping_interval_s)),
    ]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _try_to_bind(host: str, port: int) -> None:
    """Raise OSError when the port cannot be had: gRPC would say so in a line of its own on standard error."""
    if port:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
